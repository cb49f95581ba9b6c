import { isPausable } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import { soon, type Stage } from './stage.ts'

export function pauseChapter(stage: Stage): void {
  describe('pause', () => {
    it('stands still and goes on where it was', async (context) => {
      if (!stage.rig.traits.pausable) context.skip('this driver cannot pause')
      const machine = await stage.create()
      if (!isPausable(machine)) throw new Error('the machine is not pausable')
      const link = await stage.link(machine)
      await machine.pause()
      await machine.pause()
      await machine.resume()
      await machine.resume()
      expect((await stage.run(link, ['echo', 'awake'])).stdout).toBe('awake\n')
    })

    it('can be stopped and destroyed while it stands still', async (context) => {
      if (!stage.rig.traits.pausable) context.skip('this driver cannot pause')
      const [stopped, destroyed] = [await stage.create(), await stage.create()]
      if (!isPausable(stopped) || !isPausable(destroyed)) throw new Error('the machine is not pausable')
      await stopped.pause()
      await destroyed.pause()
      expect((await soon(stopped.stop(10_000), 'the end of the machine')).kind).toBe('exited')
      await soon(stage.driver.destroy(destroyed.id), 'the removal')
    })
  })
}
