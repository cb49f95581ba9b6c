import type { Container } from '@cove/docker-engine'
import { expect, it } from 'vitest'
import { engineLimits, limitsOf, missingLimits, mustDrop, reportLimits, writeReports } from './limits.ts'

const MiB = 1024 * 1024
const all = { memory: true, cpus: true, processes: true }
const container: Container = {
  id: 'x',
  name: 'x',
  image: 'x',
  labels: {},
  state: 'running',
  pid: 1,
  exitCode: 0,
  outOfMemory: false,
  env: {},
  workingDirectory: '',
  terminal: false,
  memoryBytes: 0,
  cpus: 0,
  processes: 0,
  startedAt: '',
  error: '',
  ports: [],
}
const limits = {
  diskBytes: { value: 64 * MiB, required: false },
  memoryBytes: { value: 32 * MiB, required: false },
  processes: { value: 10, required: false },
}

it('are found again from what the engine has, as they stand now', () => {
  const reports = reportLimits(limits, missingLimits({ limits: all }))
  expect(reports.map(({ name, enforced }) => [name, enforced])).toEqual([
    ['memoryBytes', true],
    ['processes', true],
    ['diskBytes', false],
  ])
  const set = { ...container, ...engineLimits(reports) }
  expect(set.memoryBytes).toBeGreaterThan(32 * MiB)
  expect(limitsOf(set, writeReports(reports))).toEqual(reports)
  // Changed since, by another daemon.
  const [memory] = limitsOf({ ...set, memoryBytes: set.memoryBytes + MiB }, writeReports(reports))
  expect(memory).toEqual({ name: 'memoryBytes', value: 33 * MiB, enforced: true })
})

it('are not claimed where the kernel does not know them', () => {
  const missing = missingLimits({ limits: { ...all, memory: false } })
  const reports = reportLimits(limits, missing)
  expect(engineLimits(reports)).not.toHaveProperty('memoryBytes')
  expect(limitsOf(container, writeReports(reports)).map(({ name }) => name)).toEqual(['memoryBytes', 'diskBytes'])
})

it('cannot be taken back from a container', () => {
  const set = { ...container, memoryBytes: 64 * MiB }
  expect(mustDrop(set, {})).toBe(true)
  expect(mustDrop(set, { memoryBytes: 32 * MiB })).toBe(false)
  expect(mustDrop(container, { memoryBytes: 32 * MiB })).toBe(false)
})

it.each(['', '{', '[]', '[1]', '[{"name":"x"}]', '[{"name":"cpus","value":"1","enforced":true}]'])(
  'are none where the label says %j',
  (label) => expect(limitsOf(container, label)).toEqual([]),
)
