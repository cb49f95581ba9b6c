import { describe, expect, it } from 'vitest'
import { jailerArgv, jailRoot, type Jail } from './jailer.ts'

const PLAIN: Jail = {
  jailer: '/usr/bin/jailer',
  firecracker: '/usr/bin/firecracker',
  id: 'm1',
  uid: 1000,
  gid: 1001,
  base: '/srv/jail',
  arguments: ['--api-sock', '/run/api'],
}

describe('the jailer', () => {
  it('is told whom, where and what', () => {
    expect(jailerArgv(PLAIN).join(' ')).toBe(
      '/usr/bin/jailer --id m1 --exec-file /usr/bin/firecracker --uid 1000 --gid 1001 --chroot-base-dir /srv/jail -- --api-sock /run/api',
    )
    expect(jailRoot(PLAIN)).toBe('/srv/jail/firecracker/m1/root')
  })

  it('is told cgroups, namespaces and limits', () => {
    const argv = jailerArgv({
      ...PLAIN,
      cgroups: { version: 2, parent: 'cove', values: { 'memory.max': '1024', 'cpu.max': '10000 100000' } },
      networkNamespace: '/run/netns/m1',
      newPidNamespace: true,
      limits: { fileBytes: 4096, openFiles: 128 },
    })
    expect(argv.slice(11, -3).join(' ')).toBe(
      '--cgroup-version 2 --parent-cgroup cove --cgroup memory.max=1024 --cgroup cpu.max=10000 100000 ' +
        '--netns /run/netns/m1 --new-pid-ns --resource-limit fsize=4096 --resource-limit no-file=128',
    )
  })

  it.each<[string, Partial<Jail>]>([
    ['an id with a slash', { id: '../x' }],
    ['no id', { id: '' }],
    ['the user root', { uid: 0 }],
    ['a group that is no number', { gid: Number.NaN }],
    ['a program of another name', { firecracker: '/usr/bin/vmm' }],
    ['a cgroup file in another folder', { cgroups: { version: 2, values: { '../memory.max': '1' } } }],
  ])('refuses %s', (_, change) => {
    expect(() => jailerArgv({ ...PLAIN, ...change })).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  })
})
