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
  eventFrame({ case: 'started', value: { id: 'p', pid: 2, argv: ['true'], outputTo: BigInt(outputTo) } })
const ended = eventFrame({ case: 'ended', value: { exit: { kind: Exit_Kind.EXITED, code: 0 } } })
const cut = new CoveError('connection-lost', 'cut')
const never = new AbortController().signal

const notRunning = (state: string): Answer => ({
  status: 409,
  body: [Buffer.from(JSON.stringify({ code: 'wrong-state', message: 'no', context: { state } }))],
})

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

  it.each([
    ['nobody answers', cut],
    ['every connection is cut behind its first event', { body: [started(), cut] }],
    ['what comes is told already', { body: [started(), outputFrame('stdout', 0, Buffer.from('a')), cut] }],
  ])('loses patience in the end where %s', async (_why, answer: Answer | Error) => {
    const clock = new InstantClock()
    const first: Answer = { body: [started(), outputFrame('stdout', 0, Buffer.from('a')), cut] }
    const server = new ScriptedServer(first, ...Array.from({ length: 20 }, () => answer))
    await expect(read(server, SOURCE, clock)).rejects.toMatchObject({ code: 'connection-lost' })
    expect(clock.slept).toHaveLength(15)
    expect(clock.slept.reduce((sum, ms) => sum + ms, 0)).toBeLessThan(30_000)
  })

  it('takes a connection that stood for a while for a good one', async () => {
    const clock = new ManualClock()
    const silent: Answer = { body: [started()], hang: true }
    const server = new ScriptedServer(...Array.from({ length: 40 }, () => silent), { body: [started(), ended] })
    const rpc = new Rpc({ base: BASE, send: server.send, policy: DEFAULT_RETRY, parts: { clock, chance: () => 0 } })
    const items = Array.fromAsync(processStream(rpc, SOURCE, never))
    for (let i = 0; i < 41; i++) await clock.advance(61_000)
    expect((await items).map(({ type }) => type)).toEqual(['started', 'exit'])
  })

  it.each(['store-closed', 'busy', 'rate-limited', 'guest-unreachable'])(
    'waits where the server says %s',
    async (code) => {
      const server = new ScriptedServer(
        { body: [started(), cut] },
        { status: 503, body: [Buffer.from(JSON.stringify({ code, message: 'later' }))] },
        { body: [started(), ended] },
      )
      expect((await read(server)).map(({ type }) => type)).toEqual(['started', 'exit'])
    },
  )

  it('waits for a lost sandbox to come back, and not for a stopped one', async () => {
    const back = new ScriptedServer({ body: [started(), cut] }, notRunning('lost'), { body: [started(), ended] })
    expect((await read(back)).map(({ type }) => type)).toEqual(['started', 'exit'])
    const stopped = new ScriptedServer({ body: [started(), cut] }, notRunning('stopped'))
    await expect(read(stopped)).rejects.toMatchObject({ code: 'wrong-state' })
  })

  it('takes a process that is there when told to, but not another command', async () => {
    const exists = { status: 409, body: [Buffer.from('{"code":"already-exists","message":"there"}')] }
    const there = { body: [started(), outputFrame('stdout', 0, Buffer.from('old')), ended] }
    const source = { ...SOURCE, takeExisting: true }
    expect(text(await read(new ScriptedServer(exists, there), source))).toBe('old')
    const other = { ...source, command: { argv: ['false'] } }
    await expect(read(new ScriptedServer(exists, there), other)).rejects.toMatchObject({ code: 'already-exists' })
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
