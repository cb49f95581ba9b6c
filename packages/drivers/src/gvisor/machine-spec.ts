import { join } from 'node:path'
import { CoveError, type MachineId, type VolumeMount } from '@cove/domain'
import type { HostProcessSpec, MountSpec } from '@cove/runner'
import { GUEST_PATH } from '../host-template/skeleton.ts'
import { KEPT_CAPABILITIES } from '../launched/capabilities.ts'
import { LAYER_FOLDERS } from '../launched/disk-image.ts'
import { RANGE_SIZE } from '../launched/id-ranges.ts'
import { diskMount, rootMounts, tmpBytes } from '../launched/machine-mounts.ts'
import { recordOf, type MachineRequest } from '../launched/machine-spec.ts'
import type { Prepared } from '../launched/prepare.ts'
import { AGENT_PATH, STAGE } from '../launched/stage.ts'
import { runscConfig, VOLUMES, volumePlace } from './config.ts'
import type { FifoPaths } from '../launched/fifo-stream.ts'
import type { Platform } from './tool.ts'

export interface RunscRequest extends MachineRequest {
  readonly platform: Platform
  readonly etc: Readonly<Record<string, string>>
  /** What it goes on from; absent: it starts. */
  readonly saved?: { readonly image: string; readonly program: string; readonly tmpBytes: number }
}

/** runsc's own folder of one machine, with its state and its control socket. */
const STATE = `${STAGE}/run`
const BUNDLE = `${STAGE}/bundle`
/** What the machine was started with, as long as it runs. */
export const CONFIG = `${BUNDLE}/config.json`
/** A place that is empty otherwise. */
const IMAGE = `${STAGE}/empty`
/** The only container that is known there. */
const CONTAINER = 'm'
const FIRST_ETC_FD = 3
const BUNDLE_BYTES = 1024 * 1024
const PLACES_BYTES = 64 * 1024

export const fifosOf = ({ folders }: Prepared, id: MachineId): FifoPaths => ({
  stdin: join(folders.machines, id, 'in'),
  stdout: join(folders.machines, id, 'out'),
})

/** All that the launcher is asked to do for one machine, in one request. */
export function runscProcessSpec(request: RunscRequest): HostProcessSpec {
  const { prepared, program, platform, id, spec, writable, base, cgroups, saved } = request
  if (base === undefined) {
    throw new CoveError('isolation-unavailable', 'gVisor needs root here', {}, { fix: 'Run Cove as root.' })
  }
  const folder = join(prepared.folders.machines, id)
  const scratch = join(prepared.folders.scratch, id)
  const volumes = spec.volumes ?? []
  const owner = { owner: 'mapped-root' } as const
  const etc = Object.entries(saved === undefined ? request.etc : {}).map(([name, text], index) => ({
    name,
    fd: FIRST_ETC_FD + index,
    data: Buffer.from(text),
  }))
  const hasNetwork = request.network !== undefined
  const env = { PATH: GUEST_PATH, LANG: 'C.UTF-8' }
  const config = runscConfig({
    hostname: spec.hostname,
    agent: [
      AGENT_PATH,
      'agent',
      '--stdio',
      '--say-ready',
      '--drop-bounding-set',
      KEPT_CAPABILITIES.join(','),
      ...etc.flatMap(({ name, fd }) => ['--etc', `${name}:${fd}`]),
    ],
    env,
    tmpBytes: saved?.tmpBytes ?? tmpBytes(spec),
    volumes,
    hasNetwork,
  })
  return {
    id: recordOf(prepared, id),
    owner: 'durable',
    note: request.note,
    argv: [
      program,
      ...runscFlags(platform, hasNetwork),
      ...(saved === undefined
        ? ['run', ...etc.map(({ fd }) => `--pass-fd=${fd}:${fd}`)]
        : ['restore', '--image-path', IMAGE]),
      '--bundle',
      BUNDLE,
      CONTAINER,
    ],
    env: {},
    stdio: { fifos: fifosOf(prepared, id) },
    folders: [
      { path: folder, mode: 0o700 },
      { path: join(folder, 'state'), mode: 0o700, ...owner },
      ...(writable.kind === 'folder' && !writable.exists
        ? [
            { path: writable.path, mode: 0o700 },
            ...LAYER_FOLDERS.map((name) => ({ path: join(writable.path, name), mode: 0o755, ...owner })),
          ]
        : []),
    ],
    blobs: etc.map(({ fd, data }) => ({ fd, data })),
    cgroups: cgroups.cgroups,
    ...(request.network === undefined ? {} : { networkOf: request.network.record }),
    userNamespace: { kind: 'range', base, count: RANGE_SIZE },
    mounts: [
      ...commonMounts(prepared, id),
      ...diskMount(writable),
      ...rootMounts({ spec, template: prepared.template, usrLayers: request.usrLayers, writable, mapped: true }),
      ...volumeMounts(volumes),
      { kind: 'tmpfs', target: BUNDLE, sizeBytes: BUNDLE_BYTES, mode: 0o755 },
      ...(saved === undefined
        ? []
        : ([
            { kind: 'bind', source: saved.image, target: IMAGE, readOnly: true },
            { kind: 'bind', source: saved.program, target: `${STAGE}/program`, readOnly: true },
          ] as const)),
    ],
    writes: [{ path: CONFIG, text: config }],
    // A crash of the kernel inside must not run the host's handler for core dumps.
    rlimits: [{ name: 'core', soft: 0, hard: 0 }],
    removeOnDestroy: spec.disk === undefined ? [folder, scratch] : [folder],
  }
}

/** A short program that speaks to the machine's kernel, such as `pause`. */
export function runscCommandSpec(
  prepared: Prepared,
  id: MachineId,
  base: number,
  words: readonly string[],
  image?: string,
): Pick<HostProcessSpec, 'argv' | 'mounts' | 'userNamespace'> {
  const { program } = prepared.tool
  if (program === undefined) throw new CoveError('isolation-unavailable', prepared.tool.missing.reason)
  return {
    argv: [program, '--root', STATE, ...words],
    userNamespace: { kind: 'range', base, count: RANGE_SIZE },
    mounts: [
      ...commonMounts(prepared, id),
      ...(image === undefined ? [] : [{ kind: 'bind', source: image, target: IMAGE, readOnly: false } as const]),
    ],
  }
}

export const COMMANDS = {
  terminate: ['kill', CONTAINER, 'TERM'],
  pause: ['pause', CONTAINER],
  resume: ['resume', CONTAINER],
  /** It goes on where it was, which is standing still. */
  save: ['checkpoint', '--leave-running', '--compression=none', '--image-path', IMAGE, CONTAINER],
} as const

function runscFlags(platform: Platform, hasNetwork: boolean): readonly string[] {
  return [
    '--root',
    STATE,
    `--platform=${platform}`,
    // The machine's sockets are those of the network namespace that it starts in, where the rules hold for them.
    `--network=${hasNetwork ? 'host' : 'none'}`,
    // What is written goes to the layer that the launcher has mounted, and counts there.
    '--overlay2=none',
    '--ignore-cgroups',
  ]
}

/**
 * The stage, runsc's own folder, and nothing of the host's network settings: some versions take them for a sign that
 * they are in the host's network.
 */
function commonMounts(prepared: Prepared, id: MachineId): readonly MountSpec[] {
  return [
    { kind: 'bind', source: prepared.folders.stage, target: STAGE, readOnly: false },
    { kind: 'tmpfs', target: '/proc/sys/net', sizeBytes: 4096, mode: 0o555 },
    { kind: 'bind', source: join(prepared.folders.machines, id, 'state'), target: STATE, readOnly: false },
  ]
}

function volumeMounts(volumes: readonly VolumeMount[]): readonly MountSpec[] {
  if (volumes.length === 0) return []
  return [
    { kind: 'tmpfs', target: VOLUMES, sizeBytes: PLACES_BYTES, mode: 0o755 },
    ...volumes.map(({ source, readOnly }, index): MountSpec => ({
      kind: 'bind',
      source,
      target: volumePlace(index),
      readOnly,
      recursive: readOnly,
      mapped: true,
    })),
  ]
}
