import type { MachineSpec } from '@cove/domain'
import { expect, it } from 'vitest'
import { planContainer, shapeOf, withLabels } from './container-plan.ts'

const MiB = 1024 * 1024
const spec: MachineSpec = {
  from: { kind: 'layers', lower: ['/'] },
  limits: {},
  network: { kind: 'none' },
  hostname: 'box',
}
const facts = { image: 'image', agentVolume: 'agent', cgroupVersion: '1', seccomp: '{}' } as const

it('gives a machine nothing of the host but what is named', () => {
  const plan = planContainer({ ...spec, volumes: [{ source: '/srv/v', target: '/v', readOnly: true }] }, facts)
  expect(plan.mounts).toEqual([
    { kind: 'volume', source: 'agent', target: '/dev/.cove', readOnly: true, empty: true },
    { kind: 'bind', source: '/srv/v', target: '/v', readOnly: true },
  ])
  expect(JSON.stringify(plan)).not.toContain('docker.sock')
  expect(plan).toMatchObject({ network: 'none', dropCapabilities: ['ALL'], user: '0:0', cgroupNamespace: 'private' })
  expect(plan.securityOptions).toEqual(['no-new-privileges', 'seccomp={}'])
})

it('bounds /tmp by the memory that the machine may use', () => {
  const limits = { memoryBytes: { value: 64 * MiB, required: true } }
  expect(planContainer({ ...spec, limits }, facts).tmpfs?.['/tmp']).toContain(`size=${32 * MiB},`)
  expect(planContainer(spec, facts).tmpfs?.['/tmp']).toContain(`size=${512 * MiB},`)
})

it('has another shape where something differs that cannot be changed, and only there', () => {
  const plan = planContainer(spec, facts)
  const shape = shapeOf(plan)
  const same = { ...plan, name: 'x', labels: { a: 'b' }, memoryBytes: 1, cpus: 1, processes: 1, image: 'other' }
  expect(shapeOf(same)).toBe(shape)
  expect(withLabels(plan, { a: 'b' }).labels).toEqual({ a: 'b', 'cove.shape': shape })
  expect(shapeOf(planContainer({ ...spec, hostname: 'other' }, facts))).not.toBe(shape)
  expect(shapeOf(planContainer(spec, { ...facts, agentVolume: 'newer' }))).not.toBe(shape)
})
