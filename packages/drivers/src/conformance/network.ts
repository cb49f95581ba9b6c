import { describe, expect, it } from 'vitest'
import { codeOf, soon, type Stage } from './stage.ts'

const INTERNET = { kind: 'internet', allow: [] } as const

/** What a network lets through is each driver's own story; that it comes and goes with the machine is everybody's. */
export function networkChapter(stage: Stage): void {
  describe('network', () => {
    it('comes with the machine, outlives the daemon, and goes with the machine', async (context) => {
      if (stage.rig.traits.internet !== true) context.skip('this driver has no network internet here')
      const [one, other] = [await stage.create({ network: INTERNET }), await stage.create({ network: INTERNET })]
      await stage.link(one)
      await stage.restart()
      const found = await Array.fromAsync(stage.driver.recover())
      expect(found.map(({ kind }) => kind)).toEqual(['running', 'running'])
      await soon(stage.driver.destroy(one.id), 'the removal')
      const machine = found.find((each) => each.kind === 'running' && each.machine.id === other.id)
      if (machine?.kind !== 'running') throw new Error('the machine is not there')
      expect((await stage.run(await stage.link(machine.machine), ['echo', 'here'])).stdout).toBe('here\n')
    })

    it('takes what is allowed besides, and refuses what cannot be understood', async (context) => {
      if (stage.rig.traits.internet !== true) context.skip('this driver has no network internet here')
      await stage.create({ network: { kind: 'internet', allow: ['10.1.2.3:80', 'fd12::/32', 'host:5432'] } })
      const bad = stage.create({ network: { kind: 'internet', allow: ['10.1.2.3', 'nonsense'] } })
      expect(await codeOf(bad)).toBe('invalid-argument')
    })

    it('is refused where it cannot be given, and nothing happens', async (context) => {
      if (stage.rig.traits.internet === true) context.skip('this driver has it')
      expect(stage.driver.validate({ ...stage.plain, network: INTERNET }).map(({ field }) => field)).toEqual([
        'network',
      ])
      expect(await codeOf(stage.create({ network: INTERNET }))).toBe('network-unavailable')
      expect(await stage.rig.leftovers()).toEqual([])
    })
  })
}
