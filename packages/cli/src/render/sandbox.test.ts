import { expect, it } from 'vitest'
import { limitLine, unenforced } from './sandbox.ts'

it('tells each reason why limits are not enforced once', () => {
  const reason = 'the user of Cove may not make cgroups'
  expect(
    unenforced([
      { name: 'memoryBytes', value: 1, enforced: false, reason },
      { name: 'cpus', value: 1, enforced: true },
      { name: 'processes', value: 1, enforced: false, reason },
      { name: 'diskBytes', value: 1, enforced: false },
    ]),
  ).toEqual([`no limit here for memory, processes: ${reason}`, 'no limit here for disk'])
})

it.each([
  [['memoryBytes', 'cpus', 'processes', 'diskBytes'], 'memory, processors, processes, disk'],
  [['processes'], 'processes (cannot be enforced here: memory, processors, disk)'],
  [[], 'none (cannot be enforced here: memory, processors, processes, disk)'],
] as const)('tells of the limits %j', (enforces, line) => {
  expect(limitLine(enforces)).toBe(line)
})
