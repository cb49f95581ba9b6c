import { CoveError } from '@cove/domain'
import type { KernelAbilities } from '../kernel-info.ts'

interface StoredFile {
  readonly name: string
  /** Hex digest (SHA-256) of its content. */
  readonly digest: string
  readonly bytes: number
}

interface StoredModule extends StoredFile {
  /** Each is a reason to load it; without one it is always loaded. */
  readonly when: readonly string[]
}

/** What stands beside a kernel that is kept. */
export interface Manifest {
  readonly origin: 'built' | 'distribution'
  readonly version: string
  readonly machine: string
  readonly source: string
  /** Digest of what it was made from; the same recipe need not be followed twice. */
  readonly recipe: string
  readonly madeAt: number
  readonly acpi: boolean
  readonly has: KernelAbilities
  readonly image: StoredFile
  /** In the order in which they are loaded. */
  readonly modules: readonly StoredModule[]
}

const FORMAT = 1
const MAX_MODULES = 256
const MAX_REASONS = 16

export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify({ format: FORMAT, ...manifest }, undefined, 2)}\n`
}

/** `kernel-invalid` for what is none. */
export function parseManifest(text: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw refuse()
  }
  const fields = record(value)
  if (fields['format'] !== FORMAT) throw refuse()
  const { origin, modules } = fields
  if (origin !== 'built' && origin !== 'distribution') throw refuse()
  if (!Array.isArray(modules) || modules.length > MAX_MODULES) throw refuse()
  const has = record(fields['has'])
  return {
    origin,
    version: text200(fields['version']),
    machine: text200(fields['machine']),
    source: text200(fields['source']),
    recipe: digest(fields['recipe']),
    madeAt: count(fields['madeAt']),
    acpi: truth(fields['acpi']),
    has: {
      ninep: truth(has['ninep']),
      virtiofs: truth(has['virtiofs']),
      vsock: truth(has['vsock']),
      smp: truth(has['smp']),
    },
    image: storedFile(fields['image']),
    modules: modules.map(storedModule),
  }
}

function storedFile(value: unknown): StoredFile {
  const { name, digest: hash, bytes } = record(value)
  if (typeof name !== 'string' || !/^[\w.-]{1,100}$/.test(name) || name.startsWith('.')) throw refuse()
  return { name, digest: digest(hash), bytes: count(bytes) }
}

function storedModule(value: unknown): StoredModule {
  const { when } = record(value)
  if (!Array.isArray(when) || when.length > MAX_REASONS) throw refuse()
  return { ...storedFile(value), when: when.map(reason) }
}

function reason(value: unknown): string {
  if (typeof value !== 'string' || !/^[a-z0-9]{1,20}$/.test(value)) throw refuse()
  return value
}

function record(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse()
  return value as Record<string, unknown>
}

function text200(value: unknown): string {
  if (typeof value !== 'string' || value === '' || value.length > 200) throw refuse()
  return value
}

function digest(value: unknown): string {
  if (typeof value !== 'string' || !/^[0-9a-f]{64}$/.test(value)) throw refuse()
  return value
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw refuse()
  return value
}

function truth(value: unknown): boolean {
  if (typeof value !== 'boolean') throw refuse()
  return value
}

function refuse(): CoveError {
  return new CoveError('kernel-invalid', 'the manifest of the kernel is damaged')
}
