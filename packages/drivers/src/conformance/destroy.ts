import { newMachineId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { describe, expect, it } from 'vitest'
import { codeOf, soon, type Stage } from './stage.ts'

export function destroyChapter(stage: Stage): void {
  describe('destroy', () => {
    it('removes a running machine with everything in it', async () => {
      const machine = await stage.create()
      const link = await stage.link(machine)
      // Processes of their own sessions and groups, and one whose parent has gone.
      await stage.shell(link, 'sleep 1000 & sleep 1000 &')
      await stage.driver.destroy(machine.id)
      await soon(machine.exited, 'the end of the machine')
      expect(await stage.rig.leftovers()).toEqual([])
      expect(await codeOf(machine.connectGuest(AbortSignal.timeout(10_000)))).toBe('guest-unreachable')
    })

    it('may be repeated, and called for what never was', async () => {
      const machine = await stage.create()
      await Promise.all([stage.driver.destroy(machine.id), stage.driver.destroy(machine.id)])
      await stage.driver.destroy(machine.id)
      await stage.driver.destroy(newMachineId(systemRandom))
      expect(await stage.rig.leftovers()).toEqual([])
    })

    it('removes a machine that has ended', async () => {
      const machine = await stage.create()
      await machine.stop(0)
      await stage.driver.destroy(machine.id)
      expect(await stage.rig.leftovers()).toEqual([])
    })

    it('of one that is being made leaves nothing of it', async () => {
      for (const disk of [undefined, stage.newDisk()]) {
        const id = stage.newId()
        const making = codeOf(stage.create(disk === undefined ? {} : { disk }, id))
        await stage.driver.destroy(id)
        await making
        // Of the driver's own account too: the machine is not there, and its disk is free.
        expect((await Array.fromAsync(stage.driver.recover())).length).toBe(0)
        if (disk !== undefined) await stage.driver.removeDisk(disk)
        expect(await stage.rig.leftovers()).toEqual([])
      }
    })

    it('frees the id of a machine', async () => {
      const { id } = await stage.create()
      await stage.driver.destroy(id)
      const again = await stage.create({}, id)
      expect((await stage.run(await stage.link(again), ['true'])).exit).toEqual({ kind: 'exited', code: 0 })
    })
  })
}
