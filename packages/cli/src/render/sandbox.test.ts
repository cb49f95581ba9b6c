import { expect, it } from 'vitest'
import { unenforced } from './sandbox.ts'

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
