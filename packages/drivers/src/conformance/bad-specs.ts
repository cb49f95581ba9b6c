import { keepsSnapshots, newSnapshotId, type MachineSpec } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { describe, expect, it } from 'vitest'
import { codeOf, type Stage } from './stage.ts'

const required = (value: number) => ({ value, required: true })

const BAD: readonly { name: string; spec: Partial<MachineSpec>; field: string; code: string }[] = [
  { name: 'an empty hostname', spec: { hostname: '' }, field: 'hostname', code: 'invalid-argument' },
  { name: 'a hostname with a dot', spec: { hostname: 'a.b' }, field: 'hostname', code: 'invalid-argument' },
  {
    name: 'a hostname that looks like an option',
    spec: { hostname: '--x' },
    field: 'hostname',
    code: 'invalid-argument',
  },
  { name: 'a hostname of 64 letters', spec: { hostname: 'a'.repeat(64) }, field: 'hostname', code: 'invalid-argument' },
  {
    name: 'a snapshot that it does not have',
    spec: { from: { kind: 'snapshot', id: newSnapshotId(systemRandom), root: { kind: 'host' } } },
    field: 'from',
    code: 'unsupported',
  },
  { name: 'no layers', spec: { from: { kind: 'layers', lower: [] } }, field: 'from', code: 'invalid-argument' },
  {
    name: 'a layer with a relative path',
    spec: { from: { kind: 'layers', lower: ['../etc'] } },
    field: 'from',
    code: 'invalid-argument',
  },
  {
    name: 'no memory at all',
    spec: { limits: { memoryBytes: required(0) } },
    field: 'limits.memoryBytes',
    code: 'invalid-argument',
  },
  {
    name: 'negative processors',
    spec: { limits: { cpus: required(-1) } },
    field: 'limits.cpus',
    code: 'invalid-argument',
  },
  {
    name: 'half a process',
    spec: { limits: { processes: required(0.5) } },
    field: 'limits.processes',
    code: 'invalid-argument',
  },
  {
    name: 'no number',
    spec: { limits: { diskBytes: required(Number.NaN) } },
    field: 'limits.diskBytes',
    code: 'invalid-argument',
  },
]

export function badSpecsChapter(stage: Stage): void {
  describe('bad specs', () => {
    it.each(BAD)('refuses $name with its field, and nothing happens', async ({ spec: bad, field, code }) => {
      // What stands on the host is refused for that where machines do not see it.
      const root = stage.rig.from ?? { kind: 'host' }
      const spec = bad.from?.kind === 'snapshot' ? { ...bad, from: { ...bad.from, root } } : bad
      const problems = stage.driver.validate({ ...stage.plain, ...spec })
      // Which snapshots there are a driver that keeps some knows when it looks.
      const looks = spec.from?.kind === 'snapshot' && keepsSnapshots(stage.driver) && problems.length === 0
      expect(looks ? [field] : problems.map((problem) => problem.field)).toContain(field)
      for (const { message, fix } of problems) expect(message.length * fix.length).toBeGreaterThan(0)
      expect(await codeOf(stage.create(spec))).toBe(looks ? 'snapshot-not-found' : code)
      expect(await stage.rig.leftovers()).toEqual([])
    })
  })
}
