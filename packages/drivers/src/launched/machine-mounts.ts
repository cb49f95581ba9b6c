import { join } from 'node:path'
import type { MachineSpec } from '@cove/domain'
import type { MountSpec } from '@cove/runner'
import type { HostTemplate } from '../host-template/build-template.ts'
import { LAYER_FOLDERS } from './disk-image.ts'
import { AGENT_PATH, ROOT, STAGE } from './stage.ts'
import type { Writable } from './writable.ts'

const DEFAULT_TMP_BYTES = 1024 * 1024 * 1024
const MIN_TMP_BYTES = 8 * 1024 * 1024
const RUN_BYTES = 16 * 1024 * 1024

export interface MountsRequest {
  readonly spec: MachineSpec
  readonly template: HostTemplate
  /** Of the layers over the host's programs: their folders `usr`, as far as they have one. */
  readonly usrLayers: readonly string[]
  readonly writable: Writable
  readonly mapped: boolean
}

/** The machine's root with everything in it, made below the stage. */
export function machineMounts(request: MountsRequest): readonly MountSpec[] {
  const { spec, writable, mapped } = request
  return [
    ...diskMount(writable),
    ...rootMounts(request),
    ...volatile(tmpBytes(spec)),
    ...(spec.volumes ?? []).map(({ source, target, readOnly }): MountSpec => ({
      kind: 'bind',
      source,
      target: `${ROOT}${target}`,
      readOnly,
      recursive: readOnly,
      mapped,
    })),
  ]
}

export function diskMount(writable: Writable): readonly MountSpec[] {
  const target = `${STAGE}/disk`
  if (writable.kind === 'image') return [{ kind: 'image', image: writable.image, target }]
  if (writable.kind === 'memory') return [{ kind: 'tmpfs', target, sizeBytes: writable.bytes, mode: 0o755 }]
  return []
}

/** Where the writable folders of a machine are, as its tool sees them. */
export function writableAt(writable: Writable): string {
  return writable.kind === 'folder' ? writable.path : `${STAGE}/disk`
}

/** The root alone: what is saved of a machine. */
export function rootMounts({ spec, template, usrLayers, writable, mapped }: MountsRequest): readonly MountSpec[] {
  const at = writableAt(writable)
  const overlay = (target: string, lower: readonly string[], upper: string, work: string): MountSpec => ({
    kind: 'overlay',
    lower,
    upper: join(at, upper),
    work: join(at, work),
    target,
    mapped,
  })
  const [rootUpper, rootWork, usrUpper, usrWork] = LAYER_FOLDERS
  const from = spec.from.kind === 'snapshot' ? spec.from.root : spec.from
  if (from.kind === 'layers') {
    return [
      overlay(ROOT, from.lower, rootUpper, rootWork),
      // An image may have nothing there, or a link: what the tool mounts goes on a folder of ours.
      { kind: 'tmpfs', target: `${ROOT}/proc`, sizeBytes: 4096, mode: 0o555 },
    ]
  }
  // The stack of `/usr` is made beside the root, so that the layers under it are not taken along.
  const usr = overlay(`${STAGE}/usr`, [...usrLayers, template.usr, '/usr'], usrUpper, usrWork)
  return [
    overlay(ROOT, [...(from.layers ?? []), template.root], rootUpper, rootWork),
    usr,
    show(usr.target, '/usr', false),
    ...template.unmerged.map((path) => show(path, path, true)),
  ]
}

function show(source: string, path: string, readOnly: boolean): MountSpec {
  return { kind: 'bind', source, target: `${ROOT}${path}`, readOnly }
}

/** What a machine has in memory: it is gone with the machine. */
function volatile(size: number): readonly MountSpec[] {
  return [
    { kind: 'tmpfs', target: `${ROOT}/tmp`, sizeBytes: size, mode: 0o1777 },
    { kind: 'tmpfs', target: `${ROOT}/run`, sizeBytes: RUN_BYTES, mode: 0o755 },
    { kind: 'bind', source: `${STAGE}/program`, target: `${ROOT}${AGENT_PATH}`, readOnly: true },
    { kind: 'devices', target: `${STAGE}/dev` },
    { kind: 'tmpfs', target: `${STAGE}/dev/shm`, sizeBytes: Math.floor(size / 2), mode: 0o1777 },
    { kind: 'bind', source: `${STAGE}/dev`, target: `${ROOT}/dev`, readOnly: false, recursive: true },
  ]
}

/** `/tmp` is memory: half of what the machine may use, so that a full one is an error and not the end. */
export function tmpBytes(spec: MachineSpec): number {
  const memory = spec.limits.memoryBytes?.value
  return memory === undefined ? DEFAULT_TMP_BYTES : Math.max(MIN_TMP_BYTES, Math.floor(memory / 2))
}
