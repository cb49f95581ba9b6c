import { create, fromBinary, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import {
  GetSandboxResponseSchema,
  SandboxState,
  WatchFilesResponseSchema,
  WatchFilesResponse_Kind as Kind,
  WatchSandboxesRequestSchema,
  WatchSandboxesResponseSchema,
} from '@cove/api'
import { CoveError } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import type { SandboxEvent } from '../src/index.ts'
import { watchFiles } from '../src/file-watch.ts'
import { watchSandboxes } from '../src/sandbox-watch.ts'
import { envelope } from '../src/wire/envelope.ts'
import { DEFAULT_RETRY } from '../src/wire/retry.ts'
import { Rpc } from '../src/wire/rpc.ts'
import { InstantClock } from './support/instant-clock.ts'
import { ScriptedServer, type Answer } from './support/scripted-server.ts'

const cut = new CoveError('connection-lost', 'cut')
const reconnect = { attempts: 3, baseMs: 1, maxMs: 1 }

function open(...answers: (Answer | Error)[]) {
  const server = new ScriptedServer(...answers)
  const clock = new InstantClock()
  const parts = { clock, chance: () => 0 }
  return {
    server,
    clock,
    rpc: new Rpc({ base: new URL('http://cove'), send: server.send, policy: DEFAULT_RETRY, reconnect, parts }),
  }
}

type Change = MessageInitShape<typeof WatchSandboxesResponseSchema>['event']
const told = (event: Change): Uint8Array =>
  envelope(
    toBinary(WatchSandboxesResponseSchema, create(WatchSandboxesResponseSchema, event === undefined ? {} : { event })),
  )
const changed = (id: string, state: SandboxState): Uint8Array => told({ case: 'changed', value: { id, state } })
const synced = told({ case: 'synced', value: {} })
const sandbox = (id: string, state: SandboxState): Answer => ({
  body: [toBinary(GetSandboxResponseSchema, create(GetSandboxResponseSchema, { sandbox: { id, state } }))],
})
const gone: Answer = { status: 410, body: [Buffer.from('{"code":"sandbox-gone","message":"over"}')] }

/** Events as short words, until the watch ends with an error. */
async function read(events: AsyncIterable<SandboxEvent>): Promise<string[]> {
  const seen: string[] = []
  try {
    for await (const event of events)
      seen.push(event.type === 'synced' ? '.' : `${event.sandbox.id} ${event.sandbox.state}`)
  } catch (error) {
    seen.push(CoveError.from(error).code)
  }
  return seen
}

const { RUNNING, STOPPED, DELETED } = SandboxState
const end: Answer = { status: 401, body: [Buffer.from('{"code":"unauthenticated","message":"revoked"}')] }

describe('a watch of sandboxes', () => {
  it('tells all anew after a drop, and what has ended meanwhile', async () => {
    const { rpc } = open(
      {
        body: [changed('a', RUNNING), changed('b', RUNNING), changed('c', RUNNING), synced, changed('c', DELETED), cut],
      },
      { body: [changed('d', RUNNING), synced, cut] },
      sandbox('a', DELETED),
      gone,
      end,
    )
    expect(await read(watchSandboxes(rpc, {}, undefined))).toEqual([
      'a running',
      'b running',
      'c running',
      '.',
      'c deleted',
      'd running',
      'a deleted',
      'b deleted',
      '.',
      'unauthenticated',
    ])
  })

  it('keeps watching what has left the filter, also after a drop', async () => {
    const { rpc, server } = open(
      { body: [changed('a', RUNNING), synced, changed('a', STOPPED), cut] },
      { body: [changed('a', STOPPED), changed('never-ran', STOPPED), synced, changed('a', DELETED), cut] },
      end,
    )
    expect(await read(watchSandboxes(rpc, { states: ['running'] }, undefined))).toEqual([
      'a running',
      '.',
      'a stopped',
      'a stopped',
      '.',
      'a deleted',
      'unauthenticated',
    ])
    const asked = server.requests.map(({ body }) => {
      const bytes = body instanceof Uint8Array ? body.subarray(5) : new Uint8Array()
      return fromBinary(WatchSandboxesRequestSchema, bytes).filter?.states
    })
    expect(asked.slice(0, 2)).toEqual([[RUNNING], []])
  })

  it('is cut while it asks what became of a sandbox, and asks again', async () => {
    const { rpc } = open(
      { body: [changed('a', RUNNING), synced, cut] },
      { body: [synced] },
      ...Array.from({ length: 5 }, () => cut),
      { body: [synced] },
      gone,
      end,
    )
    expect(await read(watchSandboxes(rpc, {}, undefined))).toEqual([
      'a running',
      '.',
      'a deleted',
      '.',
      'unauthenticated',
    ])
  })

  it('gives up when every connection is cut before it is whole', async () => {
    const first = { body: [changed('a', RUNNING), synced, cut] }
    const { rpc, server } = open(first, ...Array.from({ length: 9 }, () => ({ body: [changed('a', RUNNING), cut] })))
    expect((await read(watchSandboxes(rpc, {}, undefined))).at(-1)).toBe('connection-lost')
    expect(server.requests).toHaveLength(1 + reconnect.attempts)
  })

  it('ends with `cancelled` while it waits for the next try', async () => {
    const stop = new AbortController()
    const { rpc, clock } = open({ body: [synced, cut] })
    clock.beforeSleep = () => stop.abort()
    expect(await read(watchSandboxes(rpc, {}, stop.signal))).toEqual(['.', 'cancelled'])
  })
})

type FileWatchEvent = MessageInitShape<typeof WatchFilesResponseSchema>['event']
const say = (event: FileWatchEvent): Uint8Array =>
  envelope(toBinary(WatchFilesResponseSchema, create(WatchFilesResponseSchema, event === undefined ? {} : { event })))
const ready = say({ case: 'ready', value: {} })
const made = (path: string): Uint8Array => say({ case: 'change', value: { kind: Kind.CREATED, path } })
const missing: Answer = { status: 404, body: [Buffer.from('{"code":"file-not-found","message":"no"}')] }

async function words(answers: (Answer | Error)[]): Promise<string[]> {
  const seen: string[] = []
  try {
    const { rpc } = open(...answers)
    for await (const event of watchFiles(rpc, { sandbox: 'box', path: '/x' }, undefined)) {
      seen.push('path' in event ? `${event.type} ${event.path}` : event.type)
    }
  } catch (error) {
    seen.push(CoveError.from(error).code)
  }
  return seen
}

describe('a watch of files', () => {
  it('says after a drop that something was missed, and goes on', async () => {
    expect(await words([{ body: [ready, made('a'), cut] }, cut, { body: [ready, made('b'), cut] }, missing])).toEqual([
      'overflow',
      'created a',
      'overflow',
      'created b',
      'file-not-found',
    ])
  })

  it('gives up when no connection brings a change', async () => {
    const all = await words(Array.from({ length: 10 }, () => ({ body: [ready, cut] })))
    expect(all).toEqual([...Array.from({ length: 1 + reconnect.attempts }, () => 'overflow'), 'connection-lost'])
  })
})
