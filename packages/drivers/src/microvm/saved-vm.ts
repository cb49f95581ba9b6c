import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { hasMark, MAX_SAMPLES, type FileMark } from '@cove/images'
import { isVmNote, type VmNote } from '../host/machine-note.ts'
import type { Saved } from '../host/snapshot-store.ts'

/** A virtual machine that was saved: what it needs around it to go on, and by what its files are known again. */
export interface VmManifest {
  readonly version: 1
  readonly vm: VmNote
  readonly ram: FileMark
  readonly disk: FileMark
  /** Everything that is neither memory nor disk. */
  readonly state: { readonly size: number; readonly digest: string }
  /** All of it, holes not counted. */
  readonly bytes: number
}

export type SavedVm = Saved<VmManifest>

export interface SavedVmParts {
  readonly ram: string
  readonly disk: string
  readonly state: string
}

/** Registers and devices; a machine that needs more is none of ours. */
export const MAX_STATE_BYTES = 16 * 1024 * 1024

export const partsOf = (folder: string): SavedVmParts => ({
  ram: join(folder, 'ram'),
  disk: join(folder, 'disk.img'),
  state: join(folder, 'state'),
})

/** Reads a state whole; whoever runs the machine has written it, and may have put anything in its place. */
export async function readState(path: string): Promise<Buffer> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  const facts = await file.stat()
  if (!facts.isFile() || facts.size === 0 || facts.size > MAX_STATE_BYTES) {
    throw new CoveError('driver-failed', 'the machine was saved into what is no state')
  }
  const bytes = Buffer.alloc(facts.size)
  const { bytesRead } = await file.read(bytes, 0, bytes.length, 0)
  return bytes.subarray(0, bytesRead)
}

export const markOfState = (bytes: Uint8Array): VmManifest['state'] => ({
  size: bytes.length,
  digest: createHash('sha256').update(bytes).digest('hex'),
})

/** Whether a saved machine can go on as one like this; `unsupported`, with the reason, when it cannot. */
export async function refuseUnfit({ manifest, folder }: SavedVm, here: VmNote): Promise<void> {
  const { vm } = manifest
  for (const [name, what, fix] of FACTS) {
    if (vm[name] === here[name]) continue
    refuse(`it was saved with ${what(vm)}, here ${name === 'root' ? 'is another' : `is ${what(here)}`}`, fix(vm))
  }
  const parts = partsOf(folder)
  const sizes = await Promise.all([parts.ram, parts.disk].map((path) => lstat(path).catch(() => undefined)))
  const short = [manifest.ram, manifest.disk].some(({ size }, index) => sizes[index]?.size !== size)
  const state = short ? undefined : await readFile(parts.state).catch(() => undefined)
  const same = state !== undefined && markOfState(state).digest === manifest.state.digest
  if (same && (await hasMark(parts.ram, manifest.ram)) && (await hasMark(parts.disk, manifest.disk))) return
  refuse('its files are damaged or not all there', ANEW)
}

const ANEW = 'Delete it, and make it anew from a running sandbox.'
const MiB = 1024 * 1024

/** What must be the same, how it is told, and what to do where it is not. */
const FACTS: readonly (readonly [keyof VmNote, (vm: VmNote) => string, (saved: VmNote) => string])[] = [
  ['monitor', ({ monitor }) => monitor, ({ monitor }) => `Install ${monitor} again, or make the snapshot anew.`],
  [
    'accelerator',
    ({ accelerator }) => `the accelerator ${accelerator}`,
    () => 'Use it on a host like the one it was saved on.',
  ],
  ['cpu', ({ cpu }) => `the processor ${cpu}`, () => 'Use it on a host with the same processor.'],
  [
    'system',
    ({ system }) => `the guest system ${system.slice(0, 12)}`,
    () => 'Use the kernel and the version of Cove that it was saved with, or make it anew.',
  ],
  [
    'memoryBytes',
    ({ memoryBytes }) => `${memoryBytes / MiB} MiB of memory`,
    ({ memoryBytes }) => `Ask for memoryBytes=${memoryBytes}.`,
  ],
  ['cpus', ({ cpus }) => `${cpus} processors`, ({ cpus }) => `Ask for ${cpus} processors.`],
  [
    'network',
    ({ network }) => (network ? 'the network `internet`' : 'the network `none`'),
    ({ network }) => `Ask for the network \`${network ? 'internet' : 'none'}\`.`,
  ],
  ['volumes', ({ volumes }) => `${volumes} volumes`, ({ volumes }) => `Ask for ${volumes} volumes.`],
  ['root', () => 'a root of its own', () => 'Use the image that it was made from.'],
]

function refuse(what: string, fix: string): never {
  throw new CoveError('unsupported', `the snapshot cannot go on here: ${what}`, { field: 'from' }, { fix })
}

export function parseVmManifest(value: Readonly<Record<string, unknown>>): VmManifest | undefined {
  return isManifest(value) ? value : undefined
}

function isManifest(value: object): value is VmManifest {
  const { version, vm, ram, disk, state, bytes } = value as Record<string, unknown>
  return version === 1 && isVmNote(vm) && isMark(ram) && isMark(disk) && isState(state) && Number.isSafeInteger(bytes)
}

const isState = (value: unknown): boolean =>
  isRecord(value) && Number.isSafeInteger(value['size']) && typeof value['digest'] === 'string'

function isMark(value: unknown): value is FileMark {
  if (!isRecord(value) || !isState(value)) return false
  const { samples } = value
  return (
    Array.isArray(samples) &&
    samples.length <= MAX_SAMPLES &&
    samples.every((at) => Number.isSafeInteger(at) && at >= 0)
  )
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
