import { join } from 'node:path'
import type { MachineId, MachineSpec } from '@cove/domain'
import type { HostProcessSpec } from '@cove/runner'
import { planCgroups, type CgroupPlan } from '../cgroups/plan.ts'
import type { MachineNote } from '../host/machine-note.ts'
import { GUEST_PATH } from '../host-template/skeleton.ts'
import { KEPT_CAPABILITIES } from './capabilities.ts'
import { LAYER_FOLDERS } from './disk-image.ts'
import { RANGE_SIZE } from './id-ranges.ts'
import { machineMounts } from './machine-mounts.ts'
import type { Prepared } from './prepare.ts'
import { AGENT_PATH, STAGE } from './stage.ts'
import type { Writable } from './writable.ts'

export interface MachineRequest {
  readonly prepared: Prepared
  /** Path of the tool. */
  readonly program: string
  readonly id: MachineId
  readonly spec: MachineSpec
  readonly writable: Writable
  /** Of the layers over the host's programs: their folders `usr`, as far as they have one. */
  readonly usrLayers: readonly string[]
  /** First of the machine's user ids on the host; undefined where there is only the caller's own. */
  readonly base: number | undefined
  readonly note: string
  readonly cgroups: CgroupPlan
  /** Record of the host process that keeps its network, and files of `/etc` that go with it. */
  readonly network?: { readonly record: string; readonly etc: Readonly<Record<string, string>> } | undefined
}

export const recordOf = ({ recordPrefix }: Prepared, id: MachineId): string => `${recordPrefix}${id}`
export const socketOf = (prepared: Prepared, id: MachineId): string => join(prepared.folders.machines, id, 's')

/** Where the image of a machine is, if it has one. */
export function imageOf(prepared: Prepared, { machine, disk }: Pick<MachineNote, 'machine' | 'disk'>): string {
  const { scratch, disks } = prepared.folders
  return disk === undefined ? join(scratch, machine, 'disk.img') : join(disks, disk, 'disk.img')
}

const SOCKET_FD = 3
const WORKLOAD_OOM_SCORE_ADJ = 500

/** All that the launcher is asked to do for one machine, in one request. */
export function hostProcessSpec(request: MachineRequest): HostProcessSpec {
  const { prepared, id, spec, writable, base, cgroups } = request
  const folder = join(prepared.folders.machines, id)
  const scratch = join(prepared.folders.scratch, id)
  const mapped = base !== undefined
  const owner = mapped ? ({ owner: 'mapped-root' } as const) : {}
  const agent = agentOf(request)
  const agentEnv = { PATH: GUEST_PATH, LANG: 'C.UTF-8' }
  const command = prepared.tool.command({
    program: request.program,
    id,
    spec,
    mapped,
    hasNetwork: request.network !== undefined,
    agent: [AGENT_PATH, ...agent.argv],
    agentEnv,
    descriptors: 1 + agent.files.length + agent.blobs.length,
  })

  return {
    id: recordOf(prepared, id),
    owner: 'durable',
    note: request.note,
    argv: command.argv,
    env: command.env ?? agentEnv,
    stdio: 'held',
    folders: [
      { path: folder, mode: 0o700 },
      ...(writable.kind === 'folder' && !writable.exists
        ? [
            { path: writable.path, mode: 0o700 },
            ...LAYER_FOLDERS.map((name) => ({ path: join(writable.path, name), mode: 0o755, ...owner })),
          ]
        : []),
    ],
    listen: [{ fd: SOCKET_FD, path: socketOf(prepared, id), mode: 0o600 }],
    blobs: [...agent.blobs, ...(command.blobs ?? [])],
    files: agent.files,
    cgroups: cgroups.cgroups,
    ...(request.network === undefined ? {} : { networkOf: request.network.record }),
    userNamespace: mapped
      ? { kind: 'range', base, count: RANGE_SIZE }
      : // Root of its own namespace, so that the tool may mount; it makes the machine's user inside of that.
        { kind: 'self', uid: 0, gid: 0 },
    mounts: [
      {
        kind: 'bind',
        source: prepared.folders.stage,
        target: STAGE,
        readOnly: command.stageReadOnly ?? false,
      },
      ...machineMounts({
        spec,
        template: prepared.template,
        usrLayers: request.usrLayers,
        writable,
        mapped,
      }),
      ...(command.mounts ?? []),
    ],
    // Where the tool makes a user namespace itself it forbids nested ones.
    writes: mapped ? [{ path: '/proc/sys/user/max_user_namespaces', text: '0' }] : [],
    // A crash inside must not run the host's handler for core dumps.
    rlimits: [{ name: 'core', soft: 0, hard: 0 }],
    removeOnDestroy: spec.disk === undefined ? [folder, scratch] : [folder],
  }
}

/** The agent's command line, with descriptors numbered from 3 without a gap: a tool is told only how many there are. */
function agentOf({ spec, cgroups, base, network }: MachineRequest): {
  readonly argv: readonly string[]
  readonly files: readonly { readonly fd: number; readonly path: string; readonly write: boolean }[]
  readonly blobs: readonly { readonly fd: number; readonly data: Uint8Array }[]
} {
  let next = SOCKET_FD + 1
  const argv = ['agent', '--listen-fd', `${SOCKET_FD}`]
  const files: { fd: number; path: string; write: boolean }[] = []
  const blobs: { fd: number; data: Uint8Array }[] = []
  for (const path of cgroups.workloadJoin) {
    argv.push('--workload-cgroup-fd', `${next}`)
    files.push({ fd: next++, path, write: true })
  }
  argv.push('--workload-oom-score-adj', `${WORKLOAD_OOM_SCORE_ADJ}`)
  if (cgroups.files.workloadOom !== undefined) {
    argv.push('--oom-event-fd', `${next}`)
    files.push({ fd: next++, path: cgroups.files.workloadOom, write: false })
  }
  if (base !== undefined) argv.push('--drop-bounding-set', KEPT_CAPABILITIES.join(','))
  for (const [name, text] of Object.entries(etcOf(spec, network?.etc))) {
    argv.push('--etc', `${name}:${next}`)
    blobs.push({ fd: next++, data: Buffer.from(text) })
  }
  return { argv, files, blobs }
}

/** An image does not know what the machine is called; the host's template asks the kernel. */
export function etcOf(
  { from, hostname }: MachineSpec,
  network: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const root = from.kind === 'snapshot' ? from.root : from
  if (root.kind === 'host') return network
  const hosts = network['hosts'] ?? '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n'
  return { ...network, hostname: `${hostname}\n`, hosts: `${hosts}127.0.0.1 ${hostname}\n` }
}

export function machineCgroups(prepared: Prepared, id: MachineId, spec: Pick<MachineSpec, 'limits'>): CgroupPlan {
  const { cannot = {}, keeps = [], reserve } = prepared.tool
  const names = Object.keys(cannot) as (keyof typeof cannot)[]
  const limits = { ...spec.limits }
  for (const name of names) delete limits[name]
  const plan = planCgroups(prepared.hierarchies, id, limits, reserve)
  const told = names.flatMap((name) => {
    const limit = spec.limits[name]
    return limit === undefined ? [] : [{ name, value: limit.value, enforced: false, reason: cannot[name] ?? '' }]
  })
  const reports = plan.reports.map((report) =>
    keeps.includes(report.name) ? { name: report.name, value: report.value, enforced: true } : report,
  )
  return { ...plan, reports: [...reports, ...told] }
}
