import { describe, expect, it } from 'vitest'
import { codeOf, type Stage } from './stage.ts'

export function disksChapter(stage: Stage): void {
  describe('disks', () => {
    it('keeps a named disk for the next machine, and removes it when told', async () => {
      const disk = stage.newDisk()
      const first = await stage.create({ disk })
      const home = await writeHome(stage, first, 'kept')
      await stage.driver.destroy(first.id)
      expect(await stage.driver.listDisks()).toContain(disk)

      const second = await stage.link(await stage.create({ disk }))
      expect((await stage.shell(second, `cat ${home}/note`)).stdout).toBe('kept')
    })

    it('gives no disk to two machines, and does not remove one that is in use', async () => {
      const disk = stage.newDisk()
      const machine = await stage.create({ disk })
      expect(await codeOf(stage.create({ disk }))).toBe('wrong-state')
      expect(await codeOf(stage.driver.removeDisk(disk))).toBe('wrong-state')
      expect((await stage.run(await stage.link(machine), ['true'])).exit).toEqual({ kind: 'exited', code: 0 })
      await stage.driver.destroy(machine.id)
      await stage.driver.removeDisk(disk)
      await stage.driver.removeDisk(disk)
      expect(await stage.driver.listDisks()).not.toContain(disk)
    })

    it('forgets what a machine without a disk has written', async () => {
      const machine = await stage.create()
      await writeHome(stage, machine, 'gone')
      await stage.driver.destroy(machine.id)
      expect(await stage.driver.listDisks()).toEqual([])
      expect(await stage.rig.leftovers()).toEqual([])
    })

    it('keeps the disk of a machine that was killed', async () => {
      const disk = stage.newDisk()
      const first = await stage.create({ disk })
      const home = await writeHome(stage, first, 'kept')
      if (stage.rig.traits.ownKernel === true) await stage.run(await stage.link(first), ['sync'])
      await stage.rig.killGuest(first.id)
      await first.exited
      await stage.driver.destroy(first.id)
      const second = await stage.link(await stage.create({ disk }))
      expect((await stage.shell(second, `cat ${home}/note`)).stdout).toBe('kept')
    })

    it('knows after a restart which disks are in use', async () => {
      const disk = stage.newDisk()
      await stage.create({ disk })
      await stage.restart()
      expect(await codeOf(stage.create({ disk }))).toBe('wrong-state')
      expect(await codeOf(stage.driver.removeDisk(disk))).toBe('wrong-state')
    })
  })
}

async function writeHome(stage: Stage, machine: Parameters<Stage['link']>[0], text: string): Promise<string> {
  const link = await stage.link(machine)
  const home = (await stage.run(link, ['pwd'])).stdout.trim()
  const result = await stage.shell(link, `printf ${text} > ${home}/note`)
  expect(result.exit).toEqual({ kind: 'exited', code: 0 })
  return home
}
