import { randomUUID } from 'node:crypto'
import { access, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { digestOf } from '../store/digest.ts'
import { folderError, hasCode, type StoredKernel } from '../store/kernel-store.ts'
import { makeFolder } from '../store/make-folder.ts'
import { writeNewFile } from '../store/write-file.ts'
import { writeCpio, type CpioEntry } from './cpio.ts'

/** Paths of the programs that go into an initramfs. */
export interface BootPrograms {
  readonly bootProgram: string
  readonly guestProgram: string
  readonly layersProgram: string
}

export interface Composition {
  /** Hex digest of both files. */
  readonly digest: string
  readonly initrd: string
  readonly packInitrd: string
}

const INITRD = 'initrd'
const PACK_INITRD = 'pack-initrd'
/** Compositions of older programs go when nobody has used them for this long, and sooner when there are many. */
const UNUSED_MS = 7 * 24 * 3_600_000
const MANY = 8
const YOUNG_MS = 3_600_000

/**
 * Makes the files that a kernel boots with, unless they are there. They appear whole or not at all, whoever else makes
 * them at the same time.
 */
export async function compose(root: string, kernel: StoredKernel, programs: BootPrograms): Promise<Composition> {
  const boot = await readProgram(programs.bootProgram)
  const guest = await readProgram(programs.guestProgram)
  const layers = await readProgram(programs.layersProgram)
  const modules = await readModules(kernel)
  const machine = writeCpio(entries(boot, { path: 'cove-guest', content: guest }, modules))
  const pack = writeCpio(entries(boot, { path: 'cove-layers', content: layers }, modules))
  const digest = digestOf(digestOf(machine), digestOf(pack))
  const parent = join(root, 'boot')
  const folder = join(parent, digest)
  const made: Composition = { digest, initrd: join(folder, INITRD), packInitrd: join(folder, PACK_INITRD) }
  if (await isWhole(made)) {
    await keepYoung(made)
    return made
  }
  const scratch = join(parent, `.${randomUUID()}`)
  try {
    await makeFolder(scratch)
    await writeNewFile(join(scratch, INITRD), machine)
    await writeNewFile(join(scratch, PACK_INITRD), pack)
    // What another process has made meanwhile is the same.
    await rename(scratch, folder).catch(async (error: unknown) => {
      if (!hasCode(error, 'ENOTEMPTY') && !hasCode(error, 'EEXIST')) throw error
      if (await isWhole(made)) return
      await rename(folder, `${scratch}.old`)
      await rename(scratch, folder)
    })
    await sweep(parent, digest)
  } catch (error) {
    throw folderError(error, root)
  } finally {
    await rm(scratch, { recursive: true, force: true })
    await rm(`${scratch}.old`, { recursive: true, force: true })
  }
  return made
}

/** Says that the composition is in use, so that it stays. */
export async function keepYoung({ initrd }: Composition): Promise<void> {
  const now = new Date()
  // Who may only read the folder uses what is there.
  await utimes(join(initrd, '..'), now, now).catch(() => {})
}

export async function isThere({ initrd, packInitrd }: Composition): Promise<boolean> {
  return await Promise.all([access(initrd), access(packInitrd)]).then(
    () => true,
    () => false,
  )
}

function entries(
  boot: Buffer,
  program: { readonly path: string; readonly content: Buffer },
  modules: readonly LoadedModule[],
): CpioEntry[] {
  const plain: CpioEntry[] = [
    { kind: 'folder', path: 'dev' },
    { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
    { kind: 'file', path: 'init', content: boot, executable: true },
    { kind: 'file', ...program, executable: true },
  ]
  if (modules.length === 0) return plain
  const list = modules.map(({ name, when }) => `${[`/lib/modules/${name}`, ...when].join(' ')}\n`).join('')
  return [
    ...plain,
    { kind: 'folder', path: 'lib' },
    { kind: 'folder', path: 'lib/modules' },
    ...modules.map(({ name, content }): CpioEntry => ({ kind: 'file', path: `lib/modules/${name}`, content })),
    { kind: 'file', path: 'modules', content: Buffer.from(list) },
  ]
}

async function readProgram(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new CoveError(
      'unsupported',
      `a program that a VM boots with cannot be read: ${path}`,
      { path },
      { cause, fix: 'Run `cove setup`, or install the package again.' },
    )
  }
}

interface LoadedModule {
  readonly name: string
  readonly content: Buffer
  readonly when: readonly string[]
}

async function readModules({ folder, manifest }: StoredKernel): Promise<LoadedModule[]> {
  const read = async ({ name, digest, when }: StoredKernel['manifest']['modules'][number]) => {
    const content = await readFile(join(folder, name)).catch(() => Buffer.alloc(0))
    if (digestOf(content) !== digest)
      throw new CoveError('kernel-invalid', `the module ${name} of the kernel is damaged`)
    return { name, content, when }
  }
  return await Promise.all(manifest.modules.map(read))
}

async function isWhole({ digest, initrd, packInitrd }: Composition): Promise<boolean> {
  try {
    return digestOf(digestOf(await readFile(initrd)), digestOf(await readFile(packInitrd))) === digest
  } catch {
    return false
  }
}

async function sweep(parent: string, kept: string): Promise<void> {
  const names = (await readdir(parent)).filter((name) => name !== kept)
  const found = await Promise.all(
    names.map(async (name) => ({
      name,
      age: Date.now() - ((await stat(join(parent, name)).catch(() => undefined))?.mtimeMs ?? 0),
    })),
  )
  const old = found
    .toSorted((one, other) => one.age - other.age)
    .filter(({ name, age }, index) => age > UNUSED_MS || (age > YOUNG_MS && (index >= MANY || name.startsWith('.'))))
  for (const { name } of old) await rm(join(parent, name), { recursive: true, force: true })
}
