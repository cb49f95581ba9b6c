import { describe, expect, it } from 'vitest'
import { codeOf, type Stage } from './stage.ts'

export function guestStreamChapter(stage: Stage): void {
  describe('guest stream', () => {
    it('can be connected as soon as the machine is made', async () => {
      const machine = await stage.create()
      const stream = await machine.connectGuest(AbortSignal.timeout(10_000))
      expect(stream.writable).toBe(true)
      stream.destroy()
    })

    it('reaches the same agent again after a drop', async () => {
      const machine = await stage.create()
      const first = await stage.link(machine)
      const { instance } = first
      await first.close()
      expect((await stage.link(machine)).instance).toBe(instance)
    })

    it('does not connect when the caller has gone', async () => {
      const machine = await stage.create()
      expect(await codeOf(machine.connectGuest(AbortSignal.abort()))).toBe('cancelled')
    })

    it('is unreachable, and says so, when the machine has ended', async () => {
      const machine = await stage.create()
      await machine.stop(0)
      expect(await codeOf(machine.connectGuest(AbortSignal.timeout(10_000)))).toBe('guest-unreachable')
    })
  })
}
