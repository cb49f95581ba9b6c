import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, chmod, copyFile, mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CoveError } from '@cove/domain'
import { detectHierarchies, type Hierarchies } from '../cgroups/hierarchies.ts'
import { buildHostTemplate, type HostTemplate } from '../host-template/build-template.ts'
import { assembleSeccomp } from '../seccomp/assemble.ts'
import type { Architecture } from '../seccomp/syscalls.ts'
import { DiskImages } from './disk-image.ts'
import { missingCgroupLimits, type MissingLimits } from '../cgroups/limit-support.ts'

const run = promisify(execFile)

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
  readonly bwrap: string | undefined
  /** As bwrap tells it, for example `bubblewrap 0.8.0`. */
  readonly version: string
  readonly template: HostTemplate
  readonly seccomp: Uint8Array
  readonly hierarchies: Hierarchies
  readonly images: DiskImages | undefined
}

/** A machine's socket is `<runtimeDir>/machines/<16 characters>/s`, and a socket's path has at most 107 bytes. */
const MAX_RUNTIME_DIR_BYTES = 107 - '/machines/'.length - 16 - '/s'.length
const PROGRAM_FOLDERS = ['/usr/bin', '/usr/local/bin', '/bin', '/run/current-system/sw/bin']

export async function prepare(options: {
  readonly stateDir: string
  readonly runtimeDir?: string
  readonly installation: string
  readonly guestProgram: string
  readonly bwrap?: string
}): Promise<Prepared> {
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
  const [template, hierarchies, bwrap, images] = await Promise.all([
    buildHostTemplate(folders.templates, ids === 'range' ? 'root-and-user' : 'user'),
    detectHierarchies(options.installation),
    findProgram('bwrap', options.bwrap),
    ids === 'range' ? DiskImages.open(folders.images) : undefined,
    buildStage(folders.stage, options.guestProgram),
  ])
  const version = bwrap === undefined ? 'none' : await versionOf(bwrap)
  return { folders, ids, bwrap, version, template, hierarchies, images, seccomp: assembleSeccomp(architecture()) }
}

/** Why limits cannot be enforced here; a limit that is not named can. */
export function missingLimits({ hierarchies, ids, images }: Prepared): MissingLimits {
  const missing = missingCgroupLimits(hierarchies)
  if (ids === 'self' || images !== undefined) return missing
  return { ...missing, diskBytes: 'mkfs.ext4 is not installed (package e2fsprogs)' }
}

function architecture(): Architecture {
  if (process.arch === 'x64' || process.arch === 'arm64') return process.arch
  throw new CoveError('unsupported', `there is no system call table for ${process.arch}`)
}

async function versionOf(bwrap: string): Promise<string> {
  const { stdout } = await run(bwrap, ['--version'], { env: {}, timeout: 5_000 }).catch(() => ({ stdout: '' }))
  return stdout.trim().slice(0, 80) || 'unknown'
}

/** Fixed places, so that the caller's PATH decides nothing. */
async function findProgram(name: string, given: string | undefined): Promise<string | undefined> {
  for (const path of given === undefined ? PROGRAM_FOLDERS.map((folder) => join(folder, name)) : [given]) {
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  return undefined
}

/**
 * A folder with a place for every part of a machine. It is shown in the private mount namespace of each machine's
 * bwrap, which could not enter the state directory itself.
 */
async function buildStage(stage: string, guestProgram: string): Promise<void> {
  for (const name of ['', 'root', 'usr', 'dev', 'disk']) {
    await mkdir(join(stage, name), { recursive: true })
    await chmod(join(stage, name), 0o755)
  }
  // Replaced by renaming: machines that run keep the program that they were started with.
  const program = join(stage, 'program')
  if (await sameFile(program, guestProgram)) return
  const aside = join(stage, `program.${process.pid}`)
  try {
    await copyFile(guestProgram, aside)
    await chmod(aside, 0o755)
    await rename(aside, program)
  } catch (cause) {
    await rm(aside, { force: true })
    throw new CoveError('config-invalid', `the guest program ${guestProgram} cannot be read`, {}, { cause })
  }
}

async function sameFile(copy: string, original: string): Promise<boolean> {
  const [a, b] = await Promise.all([stat(copy).catch(() => undefined), stat(original).catch(() => undefined)])
  return a !== undefined && b !== undefined && a.size === b.size && a.mtimeMs >= b.mtimeMs
}
