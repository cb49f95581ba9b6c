import type { Brand } from './brand.ts'
import { CoveError } from './errors/cove-error.ts'
import type { Random } from './random.ts'

/** Names one sandbox for ever: lowercase base32, safe as a DNS label. */
export type SandboxId = Brand<string, 'SandboxId'>
/** Names one machine; never reused, so a stale handle cannot reach a successor. */
export type MachineId = Brand<string, 'MachineId'>
/** Names one process inside one machine. */
export type ProcessId = Brand<string, 'ProcessId'>
/** Names one persistent writable layer, kept by a driver between machines of one sandbox. */
export type DiskId = Brand<string, 'DiskId'>

/** Names one image for ever: `sha256:` and 64 lowercase hex digits, the digest of its OCI configuration. */
export type ImageId = Brand<string, 'ImageId'>
/** Names one saved state of a sandbox. */
export type SnapshotId = Brand<string, 'SnapshotId'>
/** Names one persistent directory that sandboxes can mount. */
export type VolumeId = Brand<string, 'VolumeId'>

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const ID_LENGTH = 16
const ID_PATTERN = /^[a-z2-7]{16}$/
const IMAGE_ID_PATTERN = /^sha256:[0-9a-f]{64}$/
const PROCESS_ID_PATTERN = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$/

/** 80 random bits as 16 characters of lowercase base32 (RFC 4648 alphabet). */
export function randomId(random: Random): string {
  const bytes = random.bytes(ID_LENGTH)
  let id = ''
  for (const byte of bytes) id += ALPHABET[byte & 31]
  return id
}

export const newSandboxId = (random: Random): SandboxId => randomId(random) as SandboxId
export const newMachineId = (random: Random): MachineId => randomId(random) as MachineId
export const newProcessId = (random: Random): ProcessId => randomId(random) as ProcessId
export const newDiskId = (random: Random): DiskId => randomId(random) as DiskId

export const newSnapshotId = (random: Random): SnapshotId => randomId(random) as SnapshotId
export const newVolumeId = (random: Random): VolumeId => randomId(random) as VolumeId

export function parseSnapshotId(text: string): SnapshotId {
  if (!ID_PATTERN.test(text)) throw invalid('snapshot id', text, '16 characters of a-z and 2-7')
  return text as SnapshotId
}

export function parseVolumeId(text: string): VolumeId {
  if (!ID_PATTERN.test(text)) throw invalid('volume id', text, '16 characters of a-z and 2-7')
  return text as VolumeId
}

export function parseImageId(text: string): ImageId {
  if (!IMAGE_ID_PATTERN.test(text)) throw invalid('image id', text, 'sha256: and 64 hex digits')
  return text as ImageId
}

export function parseSandboxId(text: string): SandboxId {
  if (!ID_PATTERN.test(text)) throw invalid('sandbox id', text, '16 characters of a-z and 2-7')
  return text as SandboxId
}

export function parseMachineId(text: string): MachineId {
  if (!ID_PATTERN.test(text)) throw invalid('machine id', text, '16 characters of a-z and 2-7')
  return text as MachineId
}

export function parseDiskId(text: string): DiskId {
  if (!ID_PATTERN.test(text)) throw invalid('disk id', text, '16 characters of a-z and 2-7')
  return text as DiskId
}

/** Clients may choose process ids themselves, so that starting a process can be repeated safely. */
export function parseProcessId(text: string): ProcessId {
  if (!PROCESS_ID_PATTERN.test(text)) {
    throw invalid('process id', text, '1 to 64 of letters, digits, dot, dash and underscore')
  }
  return text as ProcessId
}

function invalid(what: string, got: string, want: string): CoveError {
  return new CoveError('invalid-argument', `${what} ${JSON.stringify(got.slice(0, 80))} is not ${want}`, {
    field: what,
  })
}
