import type { DiskId, MachineId, MachineSpec } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import { planCgroups } from '../cgroups/plan.ts'
import { hostProcessSpec, type MachineRequest } from '../launched/machine-spec.ts'
import type { Prepared } from '../launched/prepare.ts'
import { AGENT_PATH } from '../launched/stage.ts'
import { bubblewrapTool } from './tool.ts'

const MiB = 1024 * 1024
const id = 'abcdefghijklmnop' as MachineId
const spec: MachineSpec = { from: { kind: 'host' }, limits: {}, network: { kind: 'none' }, hostname: 'name' }

const prepared: Prepared = {
  folders: {
    machines: '/r/machines',
    scratch: '/s/scratch',
    disks: '/s/disks',
    templates: '/s/templates',
    stage: '/s/stage',
    images: '/s/images',
    proof: '/s/proof',
  },
  ids: 'range',
  tool: await bubblewrapTool('/nonexistent/bwrap').find(),
  recordPrefix: 'bwrap-',
  template: { name: 't', root: '/s/templates/t/root', usr: '/s/templates/t/usr', unmerged: [] },
  hierarchies: {
    prefix: 'cove-x-',
    controllers: { memory: { version: 1, parent: '/cg/memory' }, cpu: { missing: 'no' }, pids: { missing: 'no' } },
  },
  images: undefined,
  disks: 'sized',
}

function request(more: Partial<MachineRequest> = {}) {
  return hostProcessSpec({
    prepared,
    program: '/usr/bin/bwrap',
    usrLayers: [],
    id,
    spec,
    writable: { kind: 'folder', path: `/s/scratch/${id}`, exists: false },
    base: 0x1000_0000,
    note: 'note',
    cgroups: planCgroups(prepared.hierarchies, id, spec.limits),
    ...more,
  })
}

const after = (argv: readonly string[], word: string) => argv[argv.indexOf(word) + 1]

describe('a machine with a range of ids', () => {
  const made = request()

  it('gets its own root, and its own layer over the /usr of the host', () => {
    expect(made.mounts?.slice(0, 4)).toEqual([
      { kind: 'bind', source: '/s/stage', target: '/sys', readOnly: false },
      expect.objectContaining({ kind: 'overlay', target: '/sys/root', mapped: true, lower: [prepared.template.root] }),
      expect.objectContaining({ target: '/sys/usr', mapped: true, lower: [prepared.template.usr, '/usr'] }),
      { kind: 'bind', source: '/sys/usr', target: '/sys/root/usr', readOnly: false },
    ])
    expect(made.userNamespace).toEqual({ kind: 'range', base: 0x1000_0000, count: 65_536 })
  })

  it('has devices, memory for what is volatile, and the guest program read-only', () => {
    expect(made.mounts).toContainEqual({ kind: 'devices', target: '/sys/dev' })
    expect(made.mounts?.flatMap((mount) => (mount.kind === 'tmpfs' ? [mount.target] : []))).toEqual([
      '/sys/root/tmp',
      '/sys/root/run',
      '/sys/dev/shm',
    ])
    expect(made.mounts).toContainEqual(expect.objectContaining({ target: `/sys/root${AGENT_PATH}`, readOnly: true }))
  })

  it('is root of nothing but its namespaces', () => {
    expect(after(made.argv, '--cap-drop')).toBe('ALL')
    expect(made.argv).not.toContain('CAP_SYS_ADMIN')
    expect(made.argv).not.toContain('CAP_SYS_PTRACE')
    for (const name of ['pid', 'ipc', 'uts', 'net', 'cgroup']) expect(made.argv).toContain(`--unshare-${name}`)
    expect(made.writes).toEqual([{ path: '/proc/sys/user/max_user_namespaces', text: '0' }])
    expect(made.rlimits).toContainEqual({ name: 'core', soft: 0, hard: 0 })
  })

  it('passes the socket, the filter and the files of the workload by number', () => {
    const agent = made.argv.slice(made.argv.lastIndexOf(AGENT_PATH) + 1)
    expect(after(agent, '--listen-fd')).toBe(String(made.listen?.[0]?.fd))
    expect(after(made.argv, '--seccomp')).toBe(String(made.blobs?.at(-1)?.fd))
    const join = made.files?.find(({ path }) => path.endsWith('/work/tasks'))
    expect(after(agent, '--workload-cgroup-fd')).toBe(String(join?.fd))
    const oom = made.files?.find(({ path }) => path.endsWith('/work/memory.oom_control'))
    expect(oom?.write).toBe(false)
    expect(after(agent, '--oom-event-fd')).toBe(String(oom?.fd))
    expect(agent).toContain('--drop-bounding-set')
  })

  it('makes its folders, and removes with itself only what is its own', () => {
    const folders = ['', '/ru', '/rw', '/uu', '/uw'].map((name) => `/s/scratch/${id}${name}`)
    expect(made.folders?.map(({ path }) => path)).toEqual([`/r/machines/${id}`, ...folders])
    expect(made.removeOnDestroy).toEqual([`/r/machines/${id}`, `/s/scratch/${id}`])
    const disk = 'ponmlkjihgfedcba' as DiskId
    const kept = request({ spec: { ...spec, disk }, writable: { kind: 'folder', path: '/s/disks/d', exists: true } })
    expect(kept.folders?.map(({ path }) => path)).toEqual([`/r/machines/${id}`])
    expect(kept.removeOnDestroy).toEqual([`/r/machines/${id}`])
  })
})

it('writes to an image that is mounted before the layers', () => {
  const { mounts } = request({ writable: { kind: 'image', image: '/s/disks/d/disk.img' } })
  expect(mounts?.slice(1, 3)).toEqual([
    { kind: 'image', image: '/s/disks/d/disk.img', target: '/sys/disk' },
    expect.objectContaining({ upper: '/sys/disk/ru', work: '/sys/disk/rw' }),
  ])
})

it('shows nothing of the host to a machine from layers', () => {
  const made = request({ spec: { ...spec, from: { kind: 'layers', lower: ['/top', '/bottom'] } } })
  expect(made.mounts?.filter(({ kind }) => kind === 'overlay')).toEqual([
    expect.objectContaining({ lower: ['/top', '/bottom'], target: '/sys/root' }),
  ])
  expect(made.mounts?.map(({ target }) => target)).not.toContain('/sys/root/usr')
})

it('has one id, and leaves user namespaces to bwrap, as an ordinary user', () => {
  const made = request({ base: undefined })
  expect(made.userNamespace).toEqual({ kind: 'self', uid: 0, gid: 0 })
  expect(made.argv).toContain('--disable-userns')
  expect(after(made.argv, '--uid')).toBe('1000')
  expect(made.argv).not.toContain('--cap-add')
  expect(made.writes).toEqual([])
})

it('bounds /tmp by the memory that the machine may use', () => {
  const limits = { memoryBytes: { value: 64 * MiB, required: true } }
  expect(request({ spec: { ...spec, limits } }).mounts).toContainEqual(
    expect.objectContaining({ target: '/sys/root/tmp', sizeBytes: 32 * MiB }),
  )
})
