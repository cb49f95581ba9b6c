import type { Template as WireTemplate } from '@cove/api'
import type { Network } from '@cove/domain'
import { networkOf } from '../convert/sandbox.ts'
import { dateOf, millisecondsOf } from '../convert/time.ts'
import type { LimitOptions } from '../sandbox-options.ts'

/** What sandboxes can start from. */
export interface TemplateInfo {
  readonly name: string
  /** Absent for `host`. */
  readonly tag?: string
  readonly description: string
  /** Where its root comes from: a source such as `oci:alpine:3.20`, or another template. */
  readonly source: string
  /** Drivers that can use it. */
  readonly drivers: readonly string[]
  /** Digest of its image; names this version for ever. Absent for `host`. */
  readonly image?: string
  /** The build that made it, for its log. */
  readonly build?: string
  /** What its layers take unpacked; shared layers count in every template that has them. */
  readonly bytes?: number
  readonly createdAt?: Date
  /** What sandboxes have unless they are created with something else. */
  readonly env: Readonly<Record<string, string>>
  readonly workdir?: string
  readonly user?: string
  readonly start?: StartInfo
  readonly limits: LimitOptions
  /** For example `linux/amd64`. */
  readonly platform?: string
  /** What was done over the source, in words. */
  readonly steps: readonly string[]
  /** Absent for one whose sandboxes start from its files alone. */
  readonly memory?: TemplateMemoryInfo
}

/** A machine of a template, saved when its start command was ready: sandboxes like it go on from there. */
export interface TemplateMemoryInfo {
  readonly driver: string
  readonly limits: LimitOptions
  readonly network: Network
  /** What it takes beside the layers. */
  readonly bytes: number
  readonly createdAt: Date
  /** Why the last sandbox that should have gone on from it has started instead; then the template is to be built anew. */
  readonly problem?: string
}

/** What runs in every sandbox of a template from its start on, and how one knows that it is ready. */
export interface StartInfo {
  readonly argv: readonly string[]
  readonly ready?: { readonly port?: number; readonly command?: readonly string[]; readonly timeoutMs: number }
}

export function templateInfo(wire: WireTemplate): TemplateInfo {
  const { tag, image, build, workdir, user, platform, createdAt, start, limits } = wire
  return {
    name: wire.name,
    ...(tag === '' ? {} : { tag }),
    description: wire.description,
    source: wire.source,
    drivers: [...wire.drivers],
    ...(image === '' ? {} : { image, bytes: Number(wire.bytes) }),
    ...(build === '' ? {} : { build }),
    ...(createdAt === undefined ? {} : { createdAt: dateOf(createdAt) }),
    env: { ...wire.env },
    ...(workdir === '' ? {} : { workdir }),
    ...(user === '' ? {} : { user }),
    ...(start === undefined ? {} : { start: startInfo(start) }),
    limits: limitOptions(limits),
    ...(platform === '' ? {} : { platform }),
    steps: [...wire.steps],
    ...(wire.memory === undefined ? {} : { memory: memoryInfo(wire.memory) }),
  }
}

function limitOptions(limits: WireTemplate['limits']): LimitOptions {
  return {
    ...(limits?.memoryBytes === undefined ? {} : { memoryBytes: Number(limits.memoryBytes) }),
    ...(limits?.cpus === undefined ? {} : { cpus: limits.cpus }),
    ...(limits?.processes === undefined ? {} : { processes: limits.processes }),
    ...(limits?.diskBytes === undefined ? {} : { diskBytes: Number(limits.diskBytes) }),
  }
}

function memoryInfo(wire: NonNullable<WireTemplate['memory']>): TemplateMemoryInfo {
  const { driver, limits, network, bytes, createdAt, problem } = wire
  return {
    driver,
    limits: limitOptions(limits),
    network: networkOf(network),
    bytes: Number(bytes),
    createdAt: createdAt === undefined ? new Date(0) : dateOf(createdAt),
    ...(problem === '' ? {} : { problem }),
  }
}

function startInfo({ argv, ready }: NonNullable<WireTemplate['start']>): StartInfo {
  if (ready === undefined) return { argv: [...argv] }
  const timeoutMs = ready.timeout === undefined ? 0 : millisecondsOf(ready.timeout)
  const check = ready.port > 0 ? { port: ready.port } : { command: [...ready.command] }
  return { argv: [...argv], ready: { ...check, timeoutMs } }
}
