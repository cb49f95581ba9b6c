import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { CoveError, SANDBOX_STATES, TRANSITIONS, type SandboxState } from '@cove/domain'
import { SCOPE, openHouse } from '../../test/support/harness.ts'
import { ManualClock, settle } from '../../test/support/manual-clock.ts'
import { SANDBOX_PREFIX } from './keys.ts'

test('every state leads to deleted', () => {
  const reaches = (from: SandboxState, seen = new Set<SandboxState>()): boolean => {
    if (from === 'deleted') return true
    if (seen.has(from)) return false
    seen.add(from)
    return TRANSITIONS[from].some((to) => reaches(to, seen))
  }
  expect(SANDBOX_STATES.filter((state) => !reaches(state))).toEqual([])
  const alive = SANDBOX_STATES.filter((state) => state !== 'deleting' && state !== 'deleted')
  expect(alive.filter((state) => !TRANSITIONS[state].includes('deleting'))).toEqual([])
})

const STEPS = ['create', 'stop', 'start', 'extend', 'delete', 'crash', 'fail creates', 'heal', 'wait'] as const

test('whatever is done in whatever order and overlap, deleting ends it and nothing is left over', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ step: fc.constantFrom(...STEPS), box: fc.integer({ min: 0, max: 2 }), pause: fc.boolean() }),
        {
          maxLength: 25,
        },
      ),
      async (steps) => {
        const clock = new ManualClock()
        await using house = await openHouse({ clock, limits: { sandboxesPerProject: 2 } })
        const { node, server, store } = house
        const { sandboxes } = server
        const work: Promise<void>[] = []
        const failures: unknown[] = []
        const begin = (call: Promise<unknown>): void => {
          work.push(
            call.then(
              () => undefined,
              (error: unknown) => void failures.push(error),
            ),
          )
        }
        const seen = new Map<string, SandboxState>()
        const broken: string[] = []
        const ending = new AbortController()
        const filter = { states: [], labels: {}, includeDeleted: true }
        const watching = (async () => {
          for await (const event of sandboxes.watch(SCOPE, filter, ending.signal)) {
            if (event.type === 'synced') continue
            const { spec, status } = event.sandbox
            const before = seen.get(spec.id)
            // A refused create goes from creating to its tombstone in one transaction, through deleting.
            const allowed = before === undefined ? ['creating'] : [before, ...TRANSITIONS[before]]
            if (status.state !== 'deleted' && !allowed.includes(status.state))
              broken.push(`${before} to ${status.state}`)
            seen.set(spec.id, status.state)
          }
        })().catch((error: unknown) => {
          if (!ending.signal.aborted) throw error
        })

        for (const { step, box, pause } of steps) {
          const name = `box-${box}`
          const request = { name, limits: {}, network: { kind: 'none' as const }, env: {}, labels: {} }
          if (step === 'create') begin(sandboxes.create(SCOPE, request))
          if (step === 'stop') begin(sandboxes.stop(SCOPE, name, 0))
          if (step === 'start') begin(sandboxes.start(SCOPE, name))
          if (step === 'extend') begin(sandboxes.updateTimeouts(SCOPE, name, { lifetime: 60_000 }))
          if (step === 'delete') begin(sandboxes.delete(SCOPE, name))
          if (step === 'crash') {
            for (const { id, state } of node.machines.values()) {
              if (state === 'running') node.crash(id, { kind: 'signaled', signal: 9 })
            }
          }
          if (step === 'fail creates') node.onCreate = () => Promise.reject(new CoveError('driver-failed', 'no'))
          if (step === 'heal') node.onCreate = () => Promise.resolve()
          if (step === 'wait') await clock.advance(40_000)
          if (pause) await settle()
        }
        await Promise.all(work)
        for (const failure of failures) expect(CoveError.from(failure).code).not.toBe('internal')
        await settle()
        for (const sandbox of sandboxes.list(SCOPE, { filter, size: 1000 }).sandboxes) {
          expect((await sandboxes.delete(SCOPE, sandbox.spec.id)).status.state).toBe('deleted')
        }
        await settle()
        ending.abort()
        await watching
        expect(broken).toEqual([])
        expect([...node.machines.keys()]).toEqual([])
        const { items } = await store.range({ prefix: SANDBOX_PREFIX })
        expect(items.filter(({ key }) => !key.startsWith('sandbox/tombstone/'))).toEqual([])
      },
    ),
    { numRuns: 60 },
  )
}, 60_000)
