import { randomUUID } from 'node:crypto'
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import type { KernelInfo } from '../kernel-info.ts'
import { digestOf } from './digest.ts'
import { makeFolder } from './make-folder.ts'
import { writeNewFile } from './write-file.ts'
import { manifestText, parseManifest, type Manifest } from './manifest.ts'

const MANIFEST = 'manifest.json'
const MAX_KERNELS = 1_000

/** A kernel to be kept; its digests are taken when it comes in. */
export interface NewKernel extends Omit<Manifest, 'image' | 'modules' | 'madeAt'> {
  readonly image: Buffer
  readonly modules: readonly { readonly name: string; readonly content: Buffer; readonly when: readonly string[] }[]
}

export interface StoredKernel {
  readonly id: string
  readonly folder: string
  readonly manifest: Manifest
}

/** Kernels in a folder, each in one of its own that appears whole or not at all. */
export class KernelStore {
  readonly #root: string
  readonly #kernels: string

  constructor(root: string) {
    this.#root = root
    this.#kernels = join(root, 'kernels')
  }

  /** Newest first, those that were built before others. What is damaged is not among them. */
  async kernels(machine: string): Promise<readonly StoredKernel[]> {
    const all = await Promise.all((await this.#ids()).map(async (id) => await this.#read(id)))
    return all
      .flatMap(({ id, manifest, damaged }) =>
        manifest === undefined || damaged || manifest.machine !== machine
          ? []
          : [{ id, manifest, folder: join(this.#kernels, id) }],
      )
      .toSorted(byPreference)
  }

  async list(machine: string): Promise<readonly KernelInfo[]> {
    const [current] = await this.kernels(machine)
    const all = await Promise.all((await this.#ids()).map(async (id) => await this.#read(id)))
    return all
      .map(({ id, manifest, damaged }) => infoOf(id, manifest, damaged, id === current?.id))
      .toSorted((one, other) => other.madeAt - one.madeAt || one.id.localeCompare(other.id))
  }

  /** The one that was made by this recipe. */
  async byRecipe(recipe: string, machine: string): Promise<StoredKernel | undefined> {
    return (await this.kernels(machine)).find(({ manifest }) => manifest.recipe === recipe)
  }

  async keep({ image, modules, ...facts }: NewKernel): Promise<string> {
    const modulesOf = modules.map(({ name, content, when }) => ({ ...factsOf(`${name}.ko`, content), when }))
    const stored = { image: factsOf('image', image), modules: modulesOf }
    const id = digestOf(JSON.stringify([facts.version, facts.machine, facts.acpi, facts.has, stored]))
    const manifest: Manifest = { ...facts, madeAt: Date.now(), ...stored }
    const made = join(this.#kernels, `.${randomUUID()}`)
    try {
      await makeFolder(made)
      await writeNewFile(join(made, stored.image.name), image)
      for (const { name, content } of modules) await writeNewFile(join(made, `${name}.ko`), content)
      await writeNewFile(join(made, MANIFEST), manifestText(manifest))
      await this.#replace(made, id)
    } catch (error) {
      throw folderError(error, this.#root)
    } finally {
      await rm(made, { recursive: true, force: true })
    }
    return id
  }

  async remove(id: string): Promise<void> {
    if (!(await this.#ids()).includes(id)) {
      throw new CoveError('kernel-not-found', `there is no kernel ${JSON.stringify(id.slice(0, 80))}`)
    }
    const gone = join(this.#kernels, `.${randomUUID()}`)
    try {
      await rename(join(this.#kernels, id), gone)
      await rm(gone, { recursive: true, force: true })
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return
      throw folderError(error, this.#root)
    }
  }

  /** Removes what a process left that was killed. Only for who alone may add kernels now. */
  async sweep(): Promise<void> {
    for (const name of await readdir(this.#kernels).catch(() => [])) {
      if (name.startsWith('.')) await rm(join(this.#kernels, name), { recursive: true, force: true })
    }
  }

  async #replace(made: string, id: string): Promise<void> {
    const target = join(this.#kernels, id)
    try {
      await rename(made, target)
    } catch (error) {
      if (!hasCode(error, 'ENOTEMPTY') && !hasCode(error, 'EEXIST')) throw error
      // One of the same content is there already; it may be damaged, this one is not.
      const old = join(this.#kernels, `.${randomUUID()}`)
      await rename(target, old)
      await rename(made, target)
      await rm(old, { recursive: true, force: true })
    }
  }

  async #ids(): Promise<readonly string[]> {
    try {
      const names = await readdir(this.#kernels)
      return names.filter((name) => /^[0-9a-f]{64}$/.test(name)).slice(0, MAX_KERNELS)
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return []
      throw folderError(error, this.#root)
    }
  }

  async #read(id: string): Promise<{ id: string; manifest: Manifest | undefined; damaged: boolean }> {
    const folder = join(this.#kernels, id)
    try {
      const manifest = parseManifest(await readFile(join(folder, MANIFEST), 'utf8'))
      const whole = await Promise.all(
        [manifest.image, ...manifest.modules].map(
          async ({ name, bytes }) => (await stat(join(folder, name))).size === bytes,
        ),
      )
      return { id, manifest, damaged: whole.includes(false) }
    } catch {
      return { id, manifest: undefined, damaged: true }
    }
  }
}

function byPreference(one: StoredKernel, other: StoredKernel): number {
  if (one.manifest.origin !== other.manifest.origin) return one.manifest.origin === 'built' ? -1 : 1
  return other.manifest.madeAt - one.manifest.madeAt || one.id.localeCompare(other.id)
}

function infoOf(id: string, manifest: Manifest | undefined, damaged: boolean, current: boolean): KernelInfo {
  if (manifest === undefined) {
    const has = { ninep: false, virtiofs: false, vsock: false, smp: false }
    const unknown = { version: 'unknown', machine: 'unknown', source: 'unknown', bytes: 0, madeAt: 0 }
    return { id, origin: 'distribution', ...unknown, acpi: false, has, current, damaged }
  }
  const { origin, version, machine, source, madeAt, acpi, has, image, modules } = manifest
  const bytes = [image, ...modules].reduce((sum, file) => sum + file.bytes, 0)
  return { id, origin, version, machine, source, bytes, madeAt, acpi, has, current, damaged }
}

const factsOf = (name: string, content: Buffer) => ({ name, digest: digestOf(content), bytes: content.length })

export const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

/** What goes wrong in the folder of kernels, with what to do about it. */
export function folderError(error: unknown, folder: string): CoveError {
  if (error instanceof CoveError) return error
  if (hasCode(error, 'EACCES') || hasCode(error, 'EPERM') || hasCode(error, 'EROFS')) {
    return new CoveError(
      'permission-denied',
      `the folder of kernels may not be used: ${error instanceof Error ? error.message : String(error)}`,
      { folder },
      { cause: error, fix: 'Call as the user whom the folder belongs to, or name another with COVE_KERNEL_DIR.' },
    )
  }
  if (hasCode(error, 'ENOTDIR') || hasCode(error, 'EEXIST') || hasCode(error, 'ENOENT')) {
    return new CoveError(
      'config-invalid',
      `${folder} is no folder, and cannot be made one`,
      { folder },
      { cause: error, fix: 'Name another folder with COVE_KERNEL_DIR.' },
    )
  }
  return CoveError.from(error, 'io-error')
}
