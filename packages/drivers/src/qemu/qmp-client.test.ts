import { duplexPair, type Duplex } from 'node:stream'
import { createInterface } from 'node:readline'
import { assert, asyncProperty, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QmpClient } from './qmp-client.ts'

const GREETING = '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": []}}\r\n'
const later = () => AbortSignal.timeout(5_000)

/** A monitor that answers each command as it is told to. */
function monitor(answer: (command: string, say: (line: string) => void, id: number) => void): Duplex {
  const [ours, theirs] = duplexPair()
  const say = (text: string) => void theirs.write(`${text}\r\n`)
  theirs.write(GREETING)
  createInterface({ input: theirs }).on('line', (line) => {
    const { execute, id } = JSON.parse(line) as { execute: string; id: number }
    if (execute === 'qmp_capabilities') say(`{"return": {}, "id": ${id}}`)
    else answer(execute, say, id)
  })
  return ours
}

describe('the client of a QEMU monitor', () => {
  it('knows the version and gets answers and refusals to its own commands', async () => {
    const stream = monitor((command, say, id) => {
      say('{"event": "RESUME", "timestamp": {}}')
      say(command === 'cont' ? `{"return": {"a": 1}, "id": ${id}}` : `{"error": {"desc": "no such"}, "id": ${id}}`)
    })
    await using client = await QmpClient.open(stream, later())
    expect(client.greeting).toEqual({ version: '7.2.22' })
    const [good, bad] = [client.execute('cont', {}, later()), client.execute('what', {}, later())]
    expect(await good).toEqual({ a: 1 })
    await expect(bad).rejects.toMatchObject({ code: 'driver-failed', message: 'QEMU refuses what: no such' })
  })

  it('hears events, those before it asked too', async () => {
    const stream = monitor((_, say, id) => {
      say('{"event": "STOP"}')
      say(`{"return": {}, "id": ${id}}`)
      setImmediate(() => say('{"event": "MIGRATION", "data": {"status": "completed"}}'))
    })
    await using client = await QmpClient.open(stream, later())
    const migrated = client.event(({ data }) => data['status'] === 'completed', later())
    await client.execute('stop', {}, later())
    expect(await client.event(({ name }) => name === 'STOP', later())).toEqual({ name: 'STOP', data: {} })
    expect((await migrated).name).toBe('MIGRATION')
  })

  it('tells everybody who waits that QEMU has gone', async () => {
    const stream = monitor((_command, _say) => stream.destroy())
    const client = await QmpClient.open(stream, later())
    const waiting = [client.event(() => false, later()), client.execute('quit', {}, later())]
    for (const each of waiting) await expect(each).rejects.toMatchObject({ code: 'guest-unreachable' })
    await expect(client.execute('cont', {}, later())).rejects.toMatchObject({ code: 'guest-unreachable' })
  })

  it('waits no longer than its caller', async () => {
    const silent = duplexPair()[0]
    await expect(QmpClient.open(silent, AbortSignal.timeout(10))).rejects.toMatchObject({ code: 'deadline-exceeded' })
    expect(silent.destroyed).toBe(true)
    await using client = await QmpClient.open(
      monitor(() => undefined),
      later(),
    )
    await expect(client.execute('stop', {}, AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' })
    await expect(client.execute('stop', {}, AbortSignal.timeout(10))).rejects.toMatchObject({
      code: 'deadline-exceeded',
    })
  })

  it('takes no garbage for an answer', async () => {
    await assert(
      asyncProperty(string(), async (garbage) => {
        const stream = monitor((_, say) => say(`\u0000${garbage}`))
        await using client = await QmpClient.open(stream, later())
        await expect(client.execute('cont', {}, later())).rejects.toMatchObject({ code: 'driver-failed' })
      }),
      { numRuns: 30 },
    )
  })

  it('holds no more than a line of an answer', async () => {
    const flood = monitor((_, say) => say('x'.repeat(2 * 1024 * 1024)))
    await using client = await QmpClient.open(flood, later())
    await expect(client.execute('cont', {}, later())).rejects.toMatchObject({ code: 'driver-failed' })
    expect(flood.destroyed).toBe(true)
  })

  it('is not opened by what is no monitor', async () => {
    for (const greeting of ['hello\r\n', '{"QMP": {}}\r\n', '{"return": {}}\r\n', '\r\n']) {
      const [ours, theirs] = duplexPair()
      theirs.write(greeting)
      await expect(QmpClient.open(ours, later())).rejects.toMatchObject({ code: 'driver-failed' })
      expect(ours.destroyed).toBe(true)
    }
  })
})
