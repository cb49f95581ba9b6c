import { readFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { detectHierarchies, type Hierarchies } from '../cgroups/hierarchies.ts'
import { missingCgroupLimits, type MissingLimits } from '../cgroups/limit-support.ts'
import { buildHostTemplate, type HostTemplate } from '../host-template/build-template.ts'
import { DiskImages } from './disk-image.ts'
import { buildStage } from './stage.ts'
import type { FoundTool, Tool } from './tool.ts'

export interface Folders {
  /** One folder per machine with its socket. */
  readonly machines: string
  /** What machines without a disk of their own write. */
  readonly scratch: string
  readonly disks: string
  readonly templates: string
  readonly stage: string
  readonly images: string
  readonly proof: string
}

/** Everything that is the same for all machines, made once. */
export interface Prepared {
  readonly folders: Folders
  /** `range`: root gives every machine ids of its own. `self`: an ordinary user has one. */
  readonly ids: 'range' | 'self'
  readonly tool: FoundTool
  readonly recordPrefix: string
  readonly template: HostTemplate
  readonly hierarchies: Hierarchies
  readonly images: DiskImages | undefined
  /** Writable layers are file systems of their own always, or where they are to have a size. */
  readonly disks: 'image' | 'sized'
}

/** A machine's socket is `<runtimeDir>/machines/<16 characters>/s`, and a socket's path has at most 107 bytes. */
const MAX_RUNTIME_DIR_BYTES = 107 - '/machines/'.length - 16 - '/s'.length

export async function prepare(
  options: {
    readonly stateDir: string
    readonly runtimeDir?: string
    readonly installation: string
    readonly guestProgram: string
  },
  tool: Tool,
): Promise<Prepared> {
  const base = options.stateDir
  const runtime = options.runtimeDir ?? base
  if (Buffer.byteLength(runtime) > MAX_RUNTIME_DIR_BYTES) {
    throw new CoveError('config-invalid', `the directory ${runtime} has more than ${MAX_RUNTIME_DIR_BYTES} bytes`)
  }
  const folders: Folders = {
    machines: join(runtime, 'machines'),
    scratch: join(base, 'scratch'),
    disks: join(base, 'disks'),
    templates: join(base, 'templates'),
    stage: join(base, 'stage'),
    images: join(base, 'images'),
    proof: join(base, 'proof'),
  }
  for (const folder of [folders.machines, folders.scratch]) await mkdir(folder, { recursive: true, mode: 0o700 })
  const ids = process.getuid?.() === 0 ? 'range' : 'self'
  const [template, hierarchies, found, images] = await Promise.all([
    buildHostTemplate(folders.templates, ids === 'range' ? 'root-and-user' : 'user'),
    detectHierarchies(options.installation),
    tool.find(),
    ids === 'range' || tool.disks === 'image' ? DiskImages.open(folders.images, formatOf(tool)) : undefined,
    cgroupPlaces().then((places) => buildStage(folders.stage, options.guestProgram, places)),
  ])
  const { recordPrefix, disks = 'sized' } = tool
  return { folders, ids, tool: found, recordPrefix, template, hierarchies, images, disks }
}

/** What only the machine mounts has to survive that machine's end at any moment. */
const formatOf = ({ disks }: Tool): 'plain' | 'journaled' => (disks === 'image' ? 'journaled' : 'plain')

/** Why limits cannot be enforced here; a limit that is not named can. */
export function missingLimits({ hierarchies, ids, images, disks, tool }: Prepared): MissingLimits {
  const missing = { ...missingCgroupLimits(hierarchies), ...tool.cannot }
  for (const name of tool.keeps ?? []) delete missing[name]
  if ((ids === 'self' && disks !== 'image') || images !== undefined) return missing
  return { ...missing, diskBytes: 'mkfs.ext4 is not installed (package e2fsprogs)' }
}

/**
 * Where the host has its cgroups, relative to `/sys`. A tool that looks for them there finds folders that nothing can
 * be made in, and leaves cgroups to us.
 */
async function cgroupPlaces(): Promise<readonly string[]> {
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8')
  const places = new Set(['fs/cgroup'])
  for (const line of mountinfo.split('\n')) {
    const [, , , , mountPoint = ''] = line.split(' ')
    if (/^\/sys\/fs\/cgroup\/[\w,.=-]+$/.test(mountPoint)) places.add(mountPoint.slice('/sys/'.length))
  }
  return [...places]
}
