import type { Machine, ProcessId, Recovered } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import { collect, type Stage } from './stage.ts'

export function recoverChapter(stage: Stage): void {
  describe('recover', () => {
    it('finds running machines again, each once, with their processes and unread output', async () => {
      const limits = { processes: { value: 64, required: false } }
      const before = await stage.create({ limits })
      const link = await stage.link(before)
      const id = 'survivor' as ProcessId
      const script = 'echo one; read line; echo two $line; sleep 1000'
      const started = await link.start({ id, argv: ['/bin/sh', '-c', script], env: {}, stdin: true })
      for await (const event of started.events) if (event.type === 'output') break
      await stage.restart()

      const found = await Array.fromAsync(stage.driver.recover())
      expect(found.map(({ kind }) => kind)).toEqual(['running'])
      const after = machineOf(found[0])
      expect(after.id).toBe(before.id)
      expect(after.limits).toEqual(before.limits)

      const again = await stage.link(after)
      expect((await again.processes()).map((info) => info.id)).toContain(id)
      await again.writeStdin(id, oneLine(), { close: false })
      const attached = await again.attach(id, 0)
      let output = ''
      for await (const event of attached.events) {
        if (event.type !== 'output') continue
        output += Buffer.from(event.data).toString()
        if (output.includes('two')) break
      }
      expect(output).toBe('one\ntwo here\n')
      await again.signal(id, 9)
      expect((await collect((await again.attach(id, 'now')).events)).exit).toEqual({ kind: 'signaled', signal: 9 })
    })

    it('tells how a machine ended while nobody was there', async () => {
      const machine = await stage.create()
      await stage.link(machine)
      const expected = await stage.rig.killGuest(machine.id)
      await machine.exited
      await stage.restart()
      expect(await Array.fromAsync(stage.driver.recover())).toEqual([
        { kind: 'exited', id: machine.id, exit: expected },
      ])
    })

    it('finds nothing where nothing is', async () => {
      await stage.restart()
      expect(await Array.fromAsync(stage.driver.recover())).toEqual([])
    })

    it('ends and destroys machines that an earlier daemon made', async () => {
      const [stopped, removed] = [await stage.create(), await stage.create()]
      await stage.restart()
      const found = await Array.fromAsync(stage.driver.recover())
      const machine = machineOf(found.find((item) => item.kind === 'running' && item.machine.id === stopped.id))
      expect((await machine.stop(10_000)).kind).toBe('exited')
      await stage.driver.destroy(stopped.id)
      await stage.driver.destroy(removed.id)
      expect(await stage.rig.leftovers()).toEqual([])
    })
  })
}

function machineOf(found: Recovered | undefined): Machine {
  if (found?.kind !== 'running') throw new Error(`not running: ${found?.kind}`)
  return found.machine
}

async function* oneLine(): AsyncIterable<Uint8Array> {
  yield await Promise.resolve(Buffer.from('here\n'))
}
