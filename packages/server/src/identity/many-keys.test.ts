import { expect, test } from 'vitest'
import { silentLog } from '@cove/domain'
import { systemClock, systemRandom } from '@cove/domain/system'
import { MemoryStore } from '@cove/store'
import { hashKey, keyRing } from '../auth/key-ring.ts'
import { DEFAULT_LIMITS } from '../options.ts'
import { SandboxView } from '../sandboxes/view.ts'
import { openIdentity } from './identity.ts'

const KEYS = 3_000
const operator = { key: 'first', project: 'default', role: 'admin', operator: true } as const

/** Microseconds of one, the best of a few rounds, for other work runs beside the tests. */
async function costOf(run: () => Promise<unknown>): Promise<number> {
  let best = Infinity
  for (let round = 0; round < 5; round++) {
    const began = performance.now()
    for (let n = 0; n < 1_000; n++) await run()
    best = Math.min(best, performance.now() - began)
  }
  return best
}

test('a key among thousands, a token and a wrong key are each checked in a few microseconds', async () => {
  await using identity = await openIdentity({
    store: new MemoryStore({ clock: systemClock }),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    limits: { ...DEFAULT_LIMITS, keysPerProject: KEYS },
    fixed: keyRing([{ ...operator, hash: hashKey('cove_first') }]),
    sandboxes: new SandboxView(),
    findSandbox: () => Promise.resolve(undefined),
  })
  let secret = ''
  for (let n = 0; n < KEYS; n++) {
    secret = (await identity.keys.create(operator, { project: 'default', name: '', role: 'member' })).secret
  }
  const { ring } = identity
  expect(await ring.verify(secret)).toMatchObject({ project: 'default', role: 'member' })
  expect(await ring.verify('cove_first')).toEqual(operator)
  const costs = {
    own: await costOf(() => ring.verify(secret)),
    first: await costOf(() => ring.verify('cove_first')),
    wrong: await costOf(() => ring.verify('cove_wrong')),
    token: await costOf(() =>
      ring.verify(`cove_sbx_aaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbb.m.zzzzzzz.first.${'A'.repeat(43)}`),
    ),
  }
  for (const [what, cost] of Object.entries(costs)) expect([what, cost < 20 ? 'cheap' : cost]).toEqual([what, 'cheap'])
}, 30_000)
