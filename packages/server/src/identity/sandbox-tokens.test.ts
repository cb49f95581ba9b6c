import { createSecretKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { newSandboxId, type Sandbox } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { Expiries } from './expiries.ts'
import { SandboxTokens } from './sandbox-tokens.ts'

const operator = { key: 'first', project: 'default', role: 'admin', operator: true } as const

const box: Sandbox = {
  spec: {
    id: newSandboxId(systemRandom),
    project: 'default',
    template: 'host',
    from: { kind: 'host' },
    volumes: [],
    limits: {},
    network: { kind: 'none' },
    env: {},
    labels: {},
    idleTimeout: 'never',
    lifetime: 'never',
    createdAt: 0,
  },
  status: { state: 'running', incarnation: 1, changedAt: 0, limits: [] },
}

test('more tokens than are remembered all work; the one not used for longest has to come again', async () => {
  const clock = new ManualClock()
  const expiries = new Expiries(clock)
  const tokens = new SandboxTokens({
    secret: createSecretKey(systemRandom.bytes(32)),
    clock,
    random: systemRandom,
    expiries,
    livingKey: () => new AbortController().signal,
    sandbox: () => Promise.resolve(box),
  })
  const make = () => tokens.make(operator, box, 'member').token
  const [first, second] = [make(), make()]
  const before = await tokens.verify(first)
  const kept = await tokens.verify(second)
  for (let n = 0; n < 10_000; n++) {
    await tokens.verify(make())
    if (n % 1_000 === 0) await tokens.verify(second)
  }
  expect([tokens.remembered, expiries.size]).toEqual([10_000, 10_000])
  expect(before?.ended?.reason).toMatchObject({ code: 'unauthenticated', context: { reason: 'key-ended' } })
  expect(kept?.ended?.aborted).toBe(false)
  expect((await tokens.verify(first))?.ended?.aborted).toBe(false)

  tokens.changed({ ...box, status: { ...box.status, state: 'deleting' } })
  expect([tokens.remembered, expiries.size]).toEqual([0, 0])
  expect(kept?.ended?.aborted).toBe(true)
})
