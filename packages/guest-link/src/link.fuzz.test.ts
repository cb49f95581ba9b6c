import type { Duplex } from 'node:stream'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CoveError, newProcessId } from '@cove/domain'
import { systemClock, systemRandom } from '@cove/domain/system'
import { encodeFrame, FieldsWriter, FRAME, type FrameType } from '@cove/frames'
import { chunks, collect, gather, readAll } from './conformance/harness.ts'
import type { GuestLink } from './guest-link.ts'
import { openGuestLink } from './open-guest-link.ts'
import { FakeGuest } from './testing/fake-guest.ts'
import { HostileGuest } from './testing/hostile-guest.ts'
import { memoryPair } from './testing/memory-pair.ts'
import { writeFileEntry } from './wire/file-entry.ts'
import { writeProcessEntry } from './wire/process-entry.ts'

/** A call whose answer got lost waits for ever: its caller gives up after this many milliseconds. */
const PATIENCE_MS = 15

/** Every kind of call: each settles. What failed with something else than an error of ours. */
async function useEverything(link: GuestLink): Promise<unknown[]> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const id = newProcessId(systemRandom)
  const calls = [
    async () => collect((await link.start({ id, argv: ['echo', 'x'], env: {} }, signal)).events),
    async () => collect((await link.attach(id, 0, signal)).events),
    () => link.processes(signal),
    () => link.writeStdin(id, chunks('x'), { close: true }, signal),
    async () => readAll((await link.readFile('/etc/passwd', {}, signal)).content),
    () => link.writeFile('/tmp/x', chunks('x'.repeat(1000)), {}, signal),
    () => link.stat('/tmp', {}, signal),
    () => gather(link.list('/', { depth: 3 }, signal)),
    async () => gather(await link.watch('/tmp', {}, signal)),
    async () => readAll((await link.dial({ kind: 'tcp', port: 1 }, signal)).end()),
    () => link.metrics(signal),
  ]
  const settled = await Promise.allSettled(calls.map((call) => call()))
  return settled
    .filter((result) => result.status === 'rejected')
    .map((result): unknown => result.reason)
    .filter((reason) => !(reason instanceof CoveError))
}

async function strangeErrors(connect: () => Promise<Duplex>): Promise<unknown[]> {
  let epoch = 0
  let link: GuestLink
  try {
    link = await openGuestLink({
      connect,
      token: new Uint8Array(32),
      nextEpoch: () => (epoch += 1),
      random: systemRandom,
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
  } catch (error) {
    return error instanceof CoveError ? [] : [error]
  }
  const strange = await useEverything(link)
  await link.close()
  return strange
}

const hostileFields = fc
  .array(
    fc.tuple(
      fc.nat(12),
      fc.oneof(
        fc.nat(6).map((number) => new FieldsWriter().number(0, number).finish().subarray(5)),
        fc.uint8Array({ maxLength: 20 }),
      ),
    ),
    { maxLength: 12 },
  )
  .map((pairs) => {
    const fields = new FieldsWriter()
    for (const [tag, value] of pairs) fields.bytes(tag, value)
    return Buffer.from(fields.finish())
  })

const entry = fc.constantFrom(
  Buffer.from(
    writeProcessEntry({
      id: newProcessId(systemRandom),
      pid: 2,
      argv: ['x'],
      cwd: '/',
      user: 'user',
      terminal: false,
      startedAt: 0,
      outputFrom: 0,
      outputTo: 0,
      timedOut: false,
    }).finish(),
  ),
  Buffer.from(
    writeFileEntry({ name: 'x', path: '/x', type: 'file', size: 1, mode: 0, uid: 0, gid: 0, modifiedAt: 0 }).finish(),
  ),
)

const hostileFrame = fc
  .tuple(
    fc.oneof(
      {
        weight: 8,
        arbitrary: fc.constantFrom<FrameType>(FRAME.opened, FRAME.data, FRAME.event, FRAME.end, FRAME.close),
      },
      { weight: 1, arbitrary: fc.constantFrom<FrameType>(...Object.values(FRAME)) },
    ),
    fc.integer({ min: 0, max: 12 }),
    fc.oneof(hostileFields, entry, fc.uint8Array({ maxLength: 100 })),
    fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const),
  )
  .map(([type, channel, payload, stream]) => encodeFrame(type, channel, payload, stream))

describe('a link to a guest that has gone mad', () => {
  it('survives random bytes', { timeout: 20_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }),
        fc.boolean(),
        async (all, welcome) => {
          const guest = new HostileGuest({
            greet(self) {
              if (welcome) self.welcome()
              for (const bytes of all) self.raw(bytes)
            },
          })
          expect(await strangeErrors(() => guest.connect())).toEqual([])
        },
      ),
      { numRuns: 80 },
    )
  })

  it('survives random frames', { timeout: 20_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(hostileFrame, { maxLength: 40 }), async (frames) => {
        const guest = new HostileGuest({
          onOpen(self) {
            for (const frame of frames) self.raw(frame)
          },
        })
        expect(await strangeErrors(() => guest.connect())).toEqual([])
      }),
      { numRuns: 150 },
    )
  })

  it('survives a good session with some of its bytes changed', { timeout: 20_000 }, async () => {
    const change = fc.record({ at: fc.nat(3000), to: fc.nat(255), drop: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 5 }), async (changes) => {
        const guest = new FakeGuest({ clock: systemClock, random: systemRandom })
        const strange = await strangeErrors(async () => mutated(await guest.connect(), changes))
        guest.stop()
        expect(strange).toEqual([])
      }),
      { numRuns: 100 },
    )
  })
})

/** The same stream, with bytes that come from it replaced or left out. */
function mutated(stream: Duplex, changes: readonly { at: number; to: number; drop: boolean }[]): Duplex {
  const [outer, inner] = memoryPair()
  let at = 0
  stream.on('data', (chunk: Buffer) => {
    const copy = Buffer.from(chunk)
    let end = copy.length
    for (const change of changes) {
      const index = change.at - at
      if (index < 0 || index >= copy.length) continue
      copy[index] = change.to
      if (change.drop) end = Math.min(end, index)
    }
    at += chunk.length
    inner.write(copy.subarray(0, end))
  })
  stream.on('close', () => inner.destroy())
  inner.on('data', (chunk: Buffer) => stream.write(chunk))
  inner.on('close', () => stream.destroy())
  return outer
}
