import { Exit_Kind } from '@cove/api'
import { CoveError } from '@cove/domain'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { processStream, type ProcessSource, type StreamItem } from '../src/process-stream.ts'
import type { HttpRequest } from '../src/wire/http.ts'
import { DEFAULT_RETRY } from '../src/wire/retry.ts'
import { Rpc } from '../src/wire/rpc.ts'
import { errorFrame, eventFrame, outputFrame } from './support/frames.ts'
import { InstantClock } from './support/instant-clock.ts'
import { ManualClock } from '@cove/domain/manual-clock'
import { ScriptedServer, type Answer } from './support/scripted-server.ts'

const BASE = new URL('http://127.0.0.1:8080')
const SOURCE: ProcessSource = { sandbox: 'box', id: 'p', incarnation: 0, command: { argv: ['true'] }, from: 0 }
const started = (outputTo = 0) =>
  eventFrame({ case: 'started', value: { id: 'p', pid: 2, outputTo: BigInt(outputTo) } })
const ended = eventFrame({ case: 'ended', value: { exit: { kind: Exit_Kind.EXITED, code: 0 } } })
const cut = new CoveError('connection-lost', 'cut')
const never = new AbortController().signal

function read(server: ScriptedServer, source = SOURCE, clock = new InstantClock()): Promise<StreamItem[]> {
  const rpc = new Rpc({ base: BASE, send: server.send, policy: DEFAULT_RETRY, parts: { clock, chance: () => 0 } })
  return Array.fromAsync(processStream(rpc, source, never))
}

const text = (items: readonly StreamItem[]): string =>
  items.map((item) => (item.type === 'output' ? Buffer.from(item.data).toString() : '')).join('')

describe('the stream of a process', () => {
  it('goes on where it was after a drop', async () => {
    const server = new ScriptedServer(
      { body: [started(), outputFrame('stdout', 0, Buffer.from('hello ')), cut] },
      { body: [started(6), outputFrame('stdout', 6, Buffer.from('world')), ended] },
    )
    const items = await read(server)
    expect(text(items)).toBe('hello world')
    expect(items.map(({ type }) => type)).toEqual(['started', 'output', 'output', 'exit'])
    expect(server.requests.map(({ method, path }) => [method, path])).toEqual([
      ['POST', '/v1/sandboxes/box/processes'],
      ['GET', '/v1/sandboxes/box/processes/p/output?offset=6'],
    ])
  })

  it('tells each byte once, wherever it is cut and however much is told again', async () => {
    const all = Buffer.from('abcdefghijklmnopqrstuvwxyz')
    const drops = fc.array(fc.record({ back: fc.nat(5), length: fc.nat(9) }), { maxLength: 9 })
    await fc.assert(
      fc.asyncProperty(drops, async (plan) => {
        const connection = (length: number, back: number, last: boolean) => (request: HttpRequest) => {
          const asked = Number(/offset=(\d+)/.exec(request.path)?.[1] ?? 0)
          const from = Math.max(0, asked - back)
          const data = all.subarray(from, last ? undefined : asked + length)
          const frames = [started(), outputFrame('stdout', from, data)]
          return { body: last ? [...frames, ended] : [...frames, cut] }
        }
        const server = new ScriptedServer(
          ...plan.map(({ length, back }) => connection(length, back, false)),
          connection(0, 0, true),
        )
        expect(text(await read(server))).toBe(all.toString())
      }),
    )
  })

  it('tells what was overwritten, and only the part that nobody has seen', async () => {
    const gap = eventFrame({ case: 'gap', value: { from: 0n, to: 9n } })
    const server = new ScriptedServer(
      { body: [started(), outputFrame('stdout', 0, Buffer.from('abc')), cut] },
      { body: [started(), gap, outputFrame('stdout', 9, Buffer.from('x')), ended] },
    )
    expect(await read(server)).toContainEqual({ type: 'gap', from: 3, to: 9 })
  })

  it('starts again under the same id when the answer to the start was lost, and takes what is there', async () => {
    const server = new ScriptedServer(
      cut,
      { status: 409, body: [Buffer.from('{"code":"already-exists","message":"there"}')] },
      { body: [started(), outputFrame('stdout', 0, Buffer.from('once')), ended] },
    )
    expect(text(await read(server))).toBe('once')
    expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'POST', 'GET'])
  })

  it('does not take over a process that it cannot have started', async () => {
    const server = new ScriptedServer({ status: 409, body: [Buffer.from('{"code":"already-exists","message":"no"}')] })
    await expect(read(server)).rejects.toMatchObject({ code: 'already-exists' })
  })

  it.each(['sandbox-gone', 'process-not-found', 'stale-incarnation'])('ends with %s', async (code) => {
    const server = new ScriptedServer({ body: [started(), cut] }, { body: [errorFrame({ code, message: 'over' })] })
    await expect(read(server)).rejects.toMatchObject({ code })
  })

  it('loses patience in the end', async () => {
    const clock = new InstantClock()
    const answers: (Answer | Error)[] = [{ body: [started(), cut] }, ...Array.from({ length: 10 }, () => cut)]
    await expect(read(new ScriptedServer(...answers), SOURCE, clock)).rejects.toMatchObject({ code: 'connection-lost' })
    // Longer ones are of the watch for silence.
    const pauses = clock.slept.filter((ms) => ms <= 2000)
    expect(pauses).toHaveLength(10)
    expect(pauses.reduce((sum, ms) => sum + ms, 0)).toBeLessThan(20_000)
  })

  it('follows only what is new when asked to, also after a drop', async () => {
    const server = new ScriptedServer(
      { body: [started(40), cut] },
      { body: [started(40), outputFrame('stdout', 40, Buffer.from('new')), ended] },
    )
    const { command: _, ...rest } = SOURCE
    expect(text(await read(server, { ...rest, from: 'now' }))).toBe('new')
    expect(server.requests.map(({ path }) => path)).toEqual([
      '/v1/sandboxes/box/processes/p/output?',
      '/v1/sandboxes/box/processes/p/output?offset=40',
    ])
  })

  it('does not believe in a connection that says nothing for 45 seconds', async () => {
    const clock = new ManualClock()
    const server = new ScriptedServer({ body: [started()], hang: true }, { body: [started(), ended] })
    const rpc = new Rpc({ base: BASE, send: server.send, policy: DEFAULT_RETRY, parts: { clock, chance: () => 0 } })
    const items = Array.fromAsync(processStream(rpc, SOURCE, never))
    await clock.advance(44_000)
    expect(server.requests).toHaveLength(1)
    await clock.advance(20_000)
    expect((await items).map(({ type }) => type)).toEqual(['started', 'exit'])
  })
})
