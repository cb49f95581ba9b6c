import type { MachineSpec } from '@cove/domain'
import type { GuestSystem } from '@cove/guest-system'
import { describe, expect, it } from 'vitest'
import { vmProblems } from './vm-problems.ts'

const SYSTEM: GuestSystem = {
  id: 'a',
  kernel: '/kernel',
  initrd: '/initrd',
  packInitrd: '/pack',
  origin: 'built',
  version: '6.1.1',
  acpi: false,
  has: { ninep: true, virtiofs: true, vsock: true, smp: true },
}
const SPEC: MachineSpec = {
  from: { kind: 'layers', lower: ['/layer'] },
  limits: {},
  network: { kind: 'none' },
  hostname: 'story',
}
const volumes = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ source: '/data', target: `/data${index}`, readOnly: false }))
const fieldsOf = (spec: Partial<MachineSpec>, system = SYSTEM) =>
  vmProblems({ ...SPEC, ...spec }, system).map(({ field }) => field)

describe('what a virtual machine does not give', () => {
  it('is nothing that was not asked for', () => {
    expect(fieldsOf({})).toEqual([])
    expect(vmProblems({ ...SPEC, volumes: volumes(64) }, undefined)).toEqual([])
  })

  it('is the host, too little memory, and folders that its kernel cannot show', () => {
    expect(fieldsOf({ from: { kind: 'host' } })).toEqual(['from'])
    expect(fieldsOf({ limits: { memoryBytes: { value: 16 * 1024 * 1024, required: true } } })).toEqual([
      'limits.memoryBytes',
    ])
    const cannot = { ...SYSTEM, has: { ...SYSTEM.has, ninep: false } }
    expect(fieldsOf({ volumes: volumes(1) }, cannot)).toEqual(['volumes'])
  })

  it('is more volumes than there is room for devices, of which a network is one', () => {
    const internet = { kind: 'internet', allow: [] } as const
    expect(fieldsOf({ volumes: volumes(2) })).toEqual([])
    expect(fieldsOf({ volumes: volumes(3) })).toEqual(['volumes'])
    expect(fieldsOf({ volumes: volumes(1), network: internet })).toEqual([])
    expect(fieldsOf({ volumes: volumes(2), network: internet })).toEqual(['volumes'])
    expect(fieldsOf({ volumes: volumes(18) }, { ...SYSTEM, acpi: true })).toEqual([])
    expect(fieldsOf({ volumes: volumes(19) }, { ...SYSTEM, acpi: true })).toEqual(['volumes'])
  })
})
