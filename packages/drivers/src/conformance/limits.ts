import { totalmem } from 'node:os'
import { LIMIT_NAMES, type LimitName, type Limits } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import { codeOf, type Stage } from './stage.ts'

const MiB = 1024 * 1024
const VALUES: Readonly<Record<LimitName, number>> = {
  memoryBytes: 128 * MiB,
  cpus: 0.5,
  processes: 64,
  diskBytes: 64 * MiB,
}

export function limitsChapter(stage: Stage): void {
  const enforces = (name: LimitName) => stage.rig.traits.enforces.includes(name)

  describe('limits', () => {
    it('enforces every required limit, or refuses the machine', async () => {
      for (const name of LIMIT_NAMES) {
        const limits: Limits = { [name]: { value: VALUES[name], required: true } }
        const problems = stage.driver.validate({ ...stage.plain, limits })
        expect(problems.map(({ field }) => field)).toEqual(enforces(name) ? [] : [`limits.${name}`])
        const outcome = await stage.create({ limits }).then(
          (machine) => machine.limits,
          (error: { code?: string }) => error.code,
        )
        const kept = [{ name, value: VALUES[name], enforced: true }]
        expect(outcome).toEqual(enforces(name) ? kept : 'limit-not-enforceable')
      }
    })

    it('takes default limits as far as it can, and says which it does not enforce and why', async () => {
      const limits: Limits = Object.fromEntries(
        LIMIT_NAMES.map((name) => [name, { value: VALUES[name], required: false }]),
      )
      const machine = await stage.create({ limits })
      expect(machine.limits.map(({ name }) => name).toSorted()).toEqual([...LIMIT_NAMES].toSorted())
      for (const { name, value, enforced, reason } of machine.limits) {
        expect(value).toBe(VALUES[name])
        expect(typeof reason).toBe(enforced ? 'undefined' : 'string')
      }
      const { limits: again } = await stage.create({ limits: {} })
      expect(again).toEqual([])
    })

    it('refuses a required limit that is larger than the host', async () => {
      const limits: Limits = { memoryBytes: { value: totalmem() * 2, required: true } }
      expect(stage.driver.validate({ ...stage.plain, limits }).map(({ field }) => field)).toEqual([
        'limits.memoryBytes',
      ])
      expect(await codeOf(stage.create({ limits }))).toBe('limit-not-enforceable')
    })
  })
}
