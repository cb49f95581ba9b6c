import { describe, expect, it } from 'vitest'
import { soon, type Stage } from './stage.ts'

export function endingChapter(stage: Stage): void {
  describe('stop and exit', () => {
    it('ends when asked, and tells it the same way to everybody', async () => {
      const machine = await stage.create()
      await stage.link(machine)
      const exit = await soon(machine.stop(10_000), 'the end of the machine')
      expect(exit).toEqual({ kind: 'exited', code: 0 })
      expect(await machine.exited).toEqual(exit)
      expect(await machine.stop(0)).toEqual(exit)
    })

    it('ends when the guest is told to shut down', async () => {
      const machine = await stage.create()
      const link = await stage.link(machine)
      await link.shutdown(1_000)
      expect(await soon(machine.exited, 'the end of the machine')).toEqual({ kind: 'exited', code: 0 })
    })

    it('ends a machine whose processes ignore being asked', async () => {
      const machine = await stage.create()
      const link = await stage.link(machine)
      const started = await link.start({
        id: 'stubborn' as never,
        argv: ['/bin/sh', '-c', "trap '' TERM; echo ready; sleep 1000; sleep 1000"],
        env: {},
      })
      for await (const event of started.events) if (event.type === 'output') break
      const exit = await soon(machine.stop(300), 'the end of the machine')
      expect(['exited', 'signaled']).toContain(exit.kind)
    })

    it('tells a killed machine as killed', async () => {
      const machine = await stage.create()
      await stage.link(machine)
      const expected = await stage.rig.killGuest(machine.id)
      expect(await soon(machine.exited, 'the end of the machine')).toEqual(expected)
    })
  })
}
