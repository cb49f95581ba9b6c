import { totalmem } from 'node:os'
import { CoveError, isResizable, type LimitName, type Machine } from '@cove/domain'
import { describe, expect, it, type TestContext } from 'vitest'
import { codeOf, soon, type Stage } from './stage.ts'

const MiB = 1024 * 1024
const required = (value: number) => ({ value, required: true })

const resizable = (machine: Machine) => {
  if (!isResizable(machine)) throw new Error('the machine cannot be resized')
  return machine
}

export function resizeChapter(stage: Stage): void {
  const supported = (context: TestContext, name?: LimitName) => {
    const { resizable: which = false } = stage.rig.traits
    if (which === false) context.skip('this driver cannot change limits')
    if (which === 'cpus' && name === 'memoryBytes') context.skip('this driver cannot change how much memory there is')
    if (name !== undefined && !stage.rig.traits.enforces.includes(name)) context.skip(`this driver has no ${name}`)
  }

  describe('resize', () => {
    it('changes what is named, keeps the rest, and is remembered', async (context) => {
      supported(context, 'memoryBytes')
      const before = { memoryBytes: required(256 * MiB), cpus: required(0.5) }
      const machine = resizable(await stage.create({ limits: before }))
      const reports = await machine.resize({ memoryBytes: required(128 * MiB) })
      expect(machine.limits).toEqual(reports)
      const byName = (all: typeof reports) => new Map(all.map(({ name, ...rest }) => [name, rest]))
      expect(byName(reports).get('memoryBytes')).toEqual({ value: 128 * MiB, enforced: true })
      expect(byName(reports).get('cpus')).toEqual({ value: 0.5, enforced: true })
      await stage.restart()
      const [found] = await Array.fromAsync(stage.driver.recover())
      if (found?.kind !== 'running') throw new Error(`not running: ${found?.kind}`)
      expect(byName(found.machine.limits)).toEqual(byName(reports))
    })

    it('takes effect at once, down and up again', async (context) => {
      supported(context, 'memoryBytes')
      const machine = resizable(await stage.create({ limits: { memoryBytes: required(256 * MiB) } }))
      const link = await stage.link(machine)
      // The middle one keeps all of it in memory.
      const hungry = `head -c ${64 * MiB} /dev/zero | tail -c ${64 * MiB} | wc -c`
      const eats = async () => Number((await stage.shell(link, hungry)).stdout) === 64 * MiB
      expect(await eats()).toBe(true)
      await machine.resize({ memoryBytes: required(32 * MiB) })
      const ended = stage.rig.traits.outOfMemory === 'machine'
      expect(await eats().catch((error: unknown) => CoveError.from(error).code)).toBe(
        ended ? 'guest-unreachable' : false,
      )
      const exit = { kind: 'out-of-memory' }
      expect(ended ? await soon(machine.exited, 'the end of the machine') : exit).toEqual(exit)
      if (ended) return
      await machine.resize({ memoryBytes: required(256 * MiB) })
      expect(await eats()).toBe(true)
    })

    it('gives less and more of the processors, also where there was no limit', async (context) => {
      supported(context, 'cpus')
      const machine = resizable(await stage.create())
      for (const cpus of [1, 0.25, 0.75]) {
        const reports = await machine.resize({ cpus: required(cpus) })
        expect(reports).toEqual([{ name: 'cpus', value: cpus, enforced: true }])
      }
    })

    it('refuses what cannot be, and changes nothing', async (context) => {
      supported(context, 'memoryBytes')
      const machine = resizable(await stage.create({ limits: { memoryBytes: required(128 * MiB) } }))
      const { limits } = machine
      expect(await codeOf(machine.resize({ memoryBytes: required(totalmem() * 2) }))).toBe('limit-not-enforceable')
      expect(await codeOf(machine.resize({ memoryBytes: required(-1) }))).toBe('invalid-argument')
      expect(await codeOf(machine.resize({ processes: required(64), diskBytes: required(64 * MiB) }))).toBe(
        'limit-not-enforceable',
      )
      expect(machine.limits).toEqual(limits)
      expect((await stage.run(await stage.link(machine), ['true'])).exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('is refused when the machine has ended', async (context) => {
      supported(context)
      const machine = resizable(await stage.create())
      await machine.stop(0)
      expect(await codeOf(machine.resize({ processes: { value: 64, required: false } }))).toBe('wrong-state')
    })
  })
}
