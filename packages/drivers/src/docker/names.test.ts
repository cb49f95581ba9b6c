import { newDiskId, newMachineId, parseImageId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { expect, it } from 'vitest'
import { Names } from './names.ts'

const machine = newMachineId(systemRandom)
const disk = newDiskId(systemRandom)

it('reads its own names, and nobody else’s', () => {
  const names = new Names('abcdefghijklmnop')
  expect(names.role(names.machine(machine))).toEqual({ machine })
  expect(names.role(names.disk(disk))).toEqual({ freeDisk: disk })
  expect(names.roleOf(['something', names.disk(disk)])).toEqual({ freeDisk: disk })
  const other = new Names('ponmlkjihgfedcba')
  for (const name of [other.machine(machine), 'cove-machine-abcdefghijklmnop-no', 'cove-agent', '', 'x']) {
    expect(names.role(name)).toBeUndefined()
  }
})

it('has names that engines take, whatever the installation is called', () => {
  for (const installation of ['abcdefghijklmnop', 'An Installation/with:everything', 'x', '../..', 'ä'.repeat(100)]) {
    const names = new Names(installation)
    for (const name of [names.machine(machine), names.disk(disk), names.agentVolume('0'.repeat(64))]) {
      expect(name).toMatch(/^[a-z0-9][a-z0-9_.-]{1,100}$/)
    }
    for (const repository of [names.images, names.disks, names.saved]) {
      expect(repository).toMatch(/^[a-z0-9]+(?:-[a-z0-9]+)*\/[a-z]+$/)
    }
    expect(names.imageTag(parseImageId(`sha256:${'a'.repeat(64)}`))).toMatch(/^[a-z0-9]{64}$/)
    expect(names.role(names.machine(machine))).toEqual({ machine })
  }
})
