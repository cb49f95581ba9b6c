import { describe, expect, it } from 'vitest'
import { codeOf, type Stage } from './stage.ts'

/** Milliseconds after which a create is given up: from before anything happened to when it is as good as done. */
const GIVE_UP_AFTER = [0, 1, 2, 3, 5, 8]

export function faultsChapter(stage: Stage): void {
  describe('faults', () => {
    it('does nothing when it was cancelled before it began', async () => {
      const signal = AbortSignal.abort()
      expect(await codeOf(stage.create({ disk: stage.newDisk() }, stage.newId(), { signal }))).toBe('cancelled')
      expect(await stage.driver.listDisks()).toEqual([])
      expect(await stage.rig.leftovers()).toEqual([])
    })

    it('leaves nothing when it is cancelled in between', async () => {
      for (const delay of GIVE_UP_AFTER) {
        const id = stage.newId()
        const giveUp = new AbortController()
        const timer = setTimeout(() => giveUp.abort(), delay)
        const outcome = await codeOf(stage.create({}, id, { signal: giveUp.signal }))
        clearTimeout(timer)
        expect(['cancelled', 'no error']).toContain(outcome)
        if (outcome === 'no error') await stage.driver.destroy(id)
        expect(await stage.rig.leftovers()).toEqual([])
      }
    })

    it('leaves nothing when it fails, and works again afterwards', async () => {
      for (const fault of stage.rig.faults) {
        const disk = stage.newDisk()
        await fault.arm()
        const code = await codeOf(stage.create({ disk }))
        await fault.disarm()
        expect([fault.name, code]).toEqual([fault.name, expect.stringMatching(/^(?!no error|not a CoveError)/)])
        expect([fault.name, ...(await stage.driver.listDisks())]).toEqual([fault.name])
        expect([fault.name, ...(await stage.rig.leftovers())]).toEqual([fault.name])
        const machine = await stage.create({ disk })
        expect((await stage.run(await stage.link(machine), ['true'])).exit).toEqual({ kind: 'exited', code: 0 })
        await stage.driver.destroy(machine.id)
        await stage.driver.removeDisk(disk)
      }
    })

    it('keeps a disk that was there before when a create on it fails', async () => {
      const [fault] = stage.rig.faults
      if (fault === undefined) throw new Error('the rig has no fault')
      const disk = stage.newDisk()
      const machine = await stage.create({ disk })
      await stage.driver.destroy(machine.id)
      await fault.arm()
      const code = await codeOf(stage.create({ disk }))
      await fault.disarm()
      expect(code).not.toBe('no error')
      expect(await stage.driver.listDisks()).toEqual([disk])
    })
  })
}
