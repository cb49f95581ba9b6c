import { expect, test } from 'vitest'
import { cacheVolume, LABEL, planContainer } from './container-plan.ts'
import type { DockerEnvironmentOptions } from './docker-options.ts'

const base: DockerEnvironmentOptions = { name: 'api/web', image: 'box:1', installation: 'test' }
const owner = { bootId: '0'.repeat(36), pidNamespace: '1', pid: 2, startTime: 3 }
const fingerprint = (more: Partial<DockerEnvironmentOptions>, facts = {}): string | undefined =>
  planContainer({ ...base, ...more }, { owner, imageId: 'a', ...facts }).labels?.[LABEL.config]

test('a fingerprint is of all that makes a container, and of nothing else', () => {
  const same = [
    fingerprint({}),
    fingerprint({}, { owner: { ...owner, pid: 9 } }),
    fingerprint({ environment: {}, ports: [], publicPorts: false, dockerSocket: false, terminal: false, pause: false }),
  ]
  expect(new Set(same).size).toBe(1)
  const others = [
    fingerprint({ pause: true }),
    fingerprint({}, { imageId: 'b' }),
    fingerprint({}, { owner: 'durable' }),
    fingerprint({ command: ['a', 'b'] }),
    fingerprint({ command: ['a b'] }),
    fingerprint({ entrypoint: ['a', 'b'] }),
    fingerprint({ environment: { A: '1' } }),
    fingerprint({ environment: { A: '1', B: '1' } }),
    fingerprint({ ports: [{ container: 80 }] }),
    fingerprint({ ports: [{ container: 80 }], publicPorts: true }),
    fingerprint({ mounts: [{ source: '/a', target: '/b' }] }),
    fingerprint({ mounts: [{ source: '/a', target: '/b', readOnly: true }] }),
    fingerprint({ caches: [{ key: 'a', target: '/b' }] }),
    fingerprint({ user: 'me' }),
    fingerprint({ directory: '/x' }),
    fingerprint({ network: 'none' }),
    fingerprint({ memoryBytes: 1 }),
    fingerprint({ dockerSocket: true }),
  ]
  expect(new Set([...same, ...others]).size).toBe(others.length + 1)
  expect(fingerprint({ environment: { A: '1', B: '2' } })).toBe(fingerprint({ environment: { B: '2', A: '1' } }))
})

test('ports are of loopback and the socket is not shown, unless it is asked for', () => {
  const plain = planContainer({ ...base, ports: [{ container: 80 }] }, { owner, imageId: 'a' })
  expect(plain).toMatchObject({ name: 'cove-api-web', init: true, terminal: false, mounts: [] })
  // The client's default is loopback.
  expect(plain.ports).toEqual([{ container: 80, host: 0, protocol: 'tcp' }])
  expect(plain.extraHosts).toEqual(['host.docker.internal:host-gateway'])
  const wide = planContainer(
    { ...base, ports: [{ container: 80, host: 8080 }], publicPorts: true, dockerSocket: true, network: 'host' },
    { owner, imageId: 'a', socket: '/run/other.sock' },
  )
  expect(wide.ports).toEqual([{ container: 80, host: 8080, protocol: 'tcp', address: '0.0.0.0' }])
  expect(wide.mounts).toEqual([
    { kind: 'bind', source: '/run/other.sock', target: '/var/run/docker.sock', readOnly: false },
  ])
  expect(wide.extraHosts).toEqual(['host.docker.internal:127.0.0.1'])
})

test('no two containers share a cache', () => {
  const pairs = [
    ['a', 'b-c'],
    ['a-b', 'c'],
    ['a/b', 'c'],
  ] as const
  const names = pairs.map(([name, key]) => cacheVolume({ installation: 'test', name }, key))
  expect(new Set(names).size).toBe(pairs.length)
})

test('labels have an owner that is more than a pid', () => {
  const { labels } = planContainer(base, { owner, imageId: 'a' })
  expect(labels).toMatchObject({
    'cove.kind': 'runner',
    'cove.installation': 'test',
    'cove.name': 'api/web',
    'cove.owner': `${'0'.repeat(36)}/1/2/3`,
  })
})
