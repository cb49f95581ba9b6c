import { describe, expect, it } from 'vitest'
import { codeOf, type Stage } from './stage.ts'

export function createChapter(stage: Stage): void {
  describe('create', () => {
    it('proves itself by running a machine', async () => {
      const fingerprint = await stage.driver.fingerprint(AbortSignal.timeout(30_000))
      expect(fingerprint).toMatchObject({ proven: true, native: stage.rig.traits.native ?? true })
      const enforces = fingerprint.proven ? fingerprint.enforces : []
      expect([...enforces].toSorted()).toEqual([...stage.rig.traits.enforces].toSorted())
      // Asked again it proves again, and both proofs leave nothing behind.
      await expect(stage.driver.fingerprint(AbortSignal.timeout(30_000))).resolves.toEqual(fingerprint)
    })

    it('makes a machine under the id it was given and tells its steps', async () => {
      const id = stage.newId()
      const steps: string[] = []
      const machine = await stage.create({}, id, { progress: (step) => steps.push(step) })
      expect(machine.id).toBe(id)
      expect(machine.limits).toEqual([])
      expect(steps.length).toBeGreaterThan(0)
      const stats = await machine.stats()
      for (const value of Object.values(stats)) expect(value).toBeGreaterThanOrEqual(0)
    })

    it('refuses an id that is taken and leaves the first machine alone', async () => {
      const first = await stage.create()
      expect(await codeOf(stage.create({}, first.id))).toBe('already-exists')
      const link = await stage.link(first)
      expect((await stage.run(link, ['true'])).exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('makes many at once, each its own', async () => {
      const machines = await Promise.all(Array.from({ length: 5 }, () => stage.create()))
      const instances = await Promise.all(machines.map(async (machine) => (await stage.link(machine)).instance))
      expect(new Set(instances).size).toBe(5)
    })
  })
}
