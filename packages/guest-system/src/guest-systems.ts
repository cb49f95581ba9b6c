import { mkdir, rm } from 'node:fs/promises'
import { arch } from 'node:os'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { findApt } from './distribution/apt.ts'
import { planFetch, type FetchPlan } from './distribution/fetch-kernel.ts'
import { Compositions } from './initrd/compositions.ts'
import type { BootPrograms } from './initrd/compose.ts'
import { planBuild } from './kernel/build-kernel.ts'
import type { GuestSystem, KernelInfo, KernelProgress } from './kernel-info.ts'
import { digestOf } from './store/digest.ts'
import { makeFolder } from './store/make-folder.ts'
import { withFileLock } from './store/file-lock.ts'
import { folderError, KernelStore } from './store/kernel-store.ts'

interface Work {
  readonly signal: AbortSignal
  readonly progress?: (progress: KernelProgress) => void
}

export interface Kernels {
  /** Newest first. */
  list(): Promise<readonly KernelInfo[]>
  /**
   * Builds a kernel from the distribution's source package; one that was built from the same source, configuration and
   * compiler is answered as it is. Takes minutes. `log` hears every line of the build. `unsupported` when a tool is
   * missing, `kernel-build-failed` when the compiler ends in error, `no-space`, `cancelled`.
   */
  build(options: Work & { readonly log?: (line: string) => void }): Promise<KernelInfo>
  /** Takes the distribution's kernel: its package, or what is in /boot. Nothing is installed. */
  fetch(options: Work): Promise<KernelInfo>
  /**
   * Removes a kernel. VMs that run with it go on, for they have read it; a memory snapshot that was taken with it can be
   * restored only when it is there again.
   */
  remove(id: string): Promise<void>
}

export interface GuestSystems extends Kernels {
  /**
   * What VMs boot: the newest kernel that was built, else the newest of a distribution, else undefined. Makes the files
   * to boot with when there are none for these programs yet. `kernel-invalid` when its files are damaged.
   */
  current(signal: AbortSignal): Promise<GuestSystem | undefined>
}

interface KernelOptions {
  /** Where kernels are kept; made when it is not there. Several processes may share it. */
  readonly folder: string
  /** As `uname -m` says it. */
  readonly machine?: string
  /** Where the distribution has installed kernels; `/boot` and `/lib/modules`. */
  readonly installed?: { readonly boot: string; readonly modules: string }
  /** Where programs of the distribution are looked for, in place of its usual folders. */
  readonly programFolders?: readonly string[]
}

interface Options extends KernelOptions, BootPrograms {}

const MACHINES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' }
const INSTALLED = { boot: '/boot', modules: '/lib/modules' }

const thisMachine = (): string => MACHINES[arch()] ?? arch()

/** Opens the kernels of a folder, and what is made of them for VMs. Nothing is read or made yet. */
export function openGuestSystems(options: Options): GuestSystems {
  const { folder, machine = thisMachine() } = options
  const store = new KernelStore(folder)
  const compositions = new Compositions(folder, options)
  return {
    ...openKernels(options),
    current: async (signal) => {
      const [kernel] = await store.kernels(machine)
      signal.throwIfAborted()
      if (kernel === undefined) return undefined
      const { digest, initrd, packInitrd } = await compositions.of(kernel)
      const { origin, version, acpi, has, image } = kernel.manifest
      const id = digestOf(image.digest, digest)
      return { id, kernel: join(kernel.folder, image.name), initrd, packInitrd, origin, version, acpi, has }
    },
  }
}

/** Opens the kernels of a folder. Nothing is read or made yet. */
export function openKernels(options: KernelOptions): Kernels {
  const { folder, machine = thisMachine(), installed = INSTALLED, programFolders } = options
  const store = new KernelStore(folder)

  const infoOf = async (id: string): Promise<KernelInfo> => {
    const info = (await store.list(machine)).find((kernel) => kernel.id === id)
    if (info === undefined) throw new CoveError('kernel-not-found', 'the kernel was removed while it was made')
    return info
  }

  /** One makes a kernel at a time, so that whatever else is in `work` was left by one that was killed. */
  const make = async ({ signal, progress = () => {} }: Work, plan: () => Promise<FetchPlan>): Promise<KernelInfo> => {
    const work = join(folder, 'work')
    const scratch = join(work, 'kernel')
    await makeFolder(work).catch((error: unknown) => {
      throw folderError(error, folder)
    })
    const waiting = () => progress({ step: 'waiting for another Cove that makes a kernel' })
    return await withFileLock(join(folder, 'lock'), { signal, waiting }, async () => {
      // A build whose Cove was killed may write for a moment yet.
      await rm(scratch, { recursive: true, force: true, maxRetries: 5 })
      await store.sweep()
      const { recipe, make: follow } = await plan()
      const known = await store.byRecipe(recipe, machine)
      if (known !== undefined) return await infoOf(known.id)
      try {
        await mkdir(scratch, { mode: 0o700 })
        return await infoOf(await store.keep({ ...(await follow(scratch)), recipe }))
      } finally {
        progress({ step: 'tidying up' })
        await rm(scratch, { recursive: true, force: true, maxRetries: 5 })
      }
    }).catch((error: unknown) => {
      throw CoveError.from(error, 'io-error')
    })
  }

  return {
    list: async () => await store.list(machine),
    build: async ({ signal, progress = () => {}, log = () => {} }) =>
      await make(
        { signal, progress },
        async () =>
          await planBuild({ apt: await findApt(programFolders), programFolders, machine, signal, progress, log }),
      ),
    fetch: async ({ signal, progress = () => {} }) =>
      await make(
        { signal, progress },
        async () => await planFetch({ apt: await findApt(programFolders), machine, ...installed, signal, progress }),
      ),
    remove: async (id) => await store.remove(id),
  }
}
