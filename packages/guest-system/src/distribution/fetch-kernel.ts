import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { checkKernelImage } from '../kernel/elf.ts'
import { kernelPayload } from '../kernel/kernel-payload.ts'
import type { KernelProgress } from '../kernel-info.ts'
import { digestOf } from '../store/digest.ts'
import type { NewKernel } from '../store/kernel-store.ts'
import { unpackWithTool } from '../tools/unpack.ts'
import type { Apt, Package } from './apt.ts'
import { chooseModules } from './choose-modules.ts'
import { modulesUnder } from './kernel-tree.ts'

/** Bumped when something else is made of the same package. */
const RECIPE = 'distribution 3'

/** Packages that stand for the newest kernel for clouds, by distribution. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  x86_64: ['linux-image-cloud-amd64', 'linux-image-virtual'],
  aarch64: ['linux-image-cloud-arm64', 'linux-image-virtual'],
}

export interface FetchPlan {
  /** Digest of what it will be made from. */
  readonly recipe: string
  readonly make: (scratch: string) => Promise<NewKernel>
}

interface FetchParts {
  readonly apt: Apt | undefined
  readonly machine: string
  /** Where a distribution keeps its kernels and modules; `/boot` and `/lib/modules`. */
  readonly boot: string
  readonly modules: string
  readonly signal: AbortSignal
  readonly progress: (progress: KernelProgress) => void
}

/** From the distribution's package, else the newest kernel that is installed here. */
export async function planFetch(parts: FetchParts): Promise<FetchPlan> {
  const { apt, machine, signal } = parts
  const found = apt === undefined ? undefined : await findImage(apt, machine, signal)
  if (apt !== undefined && found !== undefined) return fromPackage(parts, apt, found)
  const installed = await newestInstalled(parts)
  if (installed !== undefined) return installed
  throw new CoveError(
    'unsupported',
    apt === undefined
      ? 'there is no apt-get here, and no kernel with its modules in /boot and /lib/modules that may be read'
      : "the distribution's lists name no kernel for virtual machines",
    {},
    {
      fix:
        apt === undefined
          ? "Install the distribution's kernel, or call as a user who may read /boot."
          : 'Fetch the lists with `apt-get update` (as root) and call again.',
    },
  )
}

/** The package with the image, and that with its modules where the distribution keeps them apart. */
async function findImage(apt: Apt, machine: string, signal: AbortSignal): Promise<Package | undefined> {
  for (const name of NAMES[machine] ?? []) {
    const meta = await apt.find(name, signal)
    const real = meta?.depends.find((other) => /^linux-image-\d/.test(other))
    const image = real === undefined ? undefined : await apt.find(real, signal)
    if (image !== undefined) return image
  }
  return undefined
}

function fromPackage(parts: FetchParts, apt: Apt, image: Package): FetchPlan {
  const { signal, progress } = parts
  const source = `${image.name} ${image.version}`
  return {
    recipe: digestOf(RECIPE, source),
    make: async (scratch) => {
      progress({ step: `fetching ${source}` })
      const tree = await apt.unpack(image.name, join(scratch, 'image'), signal)
      const apart = image.depends.find((other) => /^linux-modules-\d/.test(other))
      const modules = apart === undefined ? tree : await apt.unpack(apart, join(scratch, 'modules'), signal)
      const release = releaseOf(image.name)
      return await take(parts, {
        source,
        release,
        image: join(tree, 'boot', `vmlinuz-${release}`),
        config: [join(tree, 'boot', `config-${release}`), join(modules, 'boot', `config-${release}`)],
        modules: [join(modules, 'lib/modules', release), join(modules, 'usr/lib/modules', release)],
      })
    },
  }
}

/** `linux-image-unsigned-6.1.0-1-cloud-amd64` is of the release `6.1.0-1-cloud-amd64`. */
const releaseOf = (name: string): string => name.replace(/^linux-image-(?:unsigned-)?/, '')

async function newestInstalled(parts: FetchParts): Promise<FetchPlan | undefined> {
  const names = await readdir(parts.boot).catch(() => [])
  const releases = names.filter((name) => name.startsWith('vmlinuz-')).map((name) => name.slice('vmlinuz-'.length))
  const newest = releases.toSorted((one, other) => other.localeCompare(one, 'en', { numeric: true }))
  for (const release of newest) {
    const image = join(parts.boot, `vmlinuz-${release}`)
    const content = await readFile(image).catch(() => undefined)
    const modules = join(parts.modules, release)
    if (content === undefined || (await readdir(modules).catch(() => [])).length === 0) continue
    const config = [join(parts.boot, `config-${release}`)]
    const source = `${parts.boot}/vmlinuz-${release}`
    return {
      recipe: digestOf(RECIPE, source, content),
      make: async () => await take(parts, { source, release, image, config, modules: [modules] }),
    }
  }
  return undefined
}

interface Place {
  readonly source: string
  readonly release: string
  readonly image: string
  /** The first of these that is there. */
  readonly config: readonly string[]
  readonly modules: readonly string[]
}

async function take({ machine, progress }: FetchParts, place: Place): Promise<NewKernel> {
  const { source, release } = place
  progress({ step: 'unpacking the kernel' })
  const file = await readFile(place.image).catch((error: unknown) => {
    throw new CoveError('kernel-invalid', `${source} has no kernel that can be read`, {}, { cause: error })
  })
  const image = await kernelPayload(file, unpackWithTool)
  checkKernelImage(image, machine)
  progress({ step: 'choosing modules' })
  const { modules, has } = await chooseModules(await modulesUnder(await firstFolder(place.modules), unpackWithTool))
  const config = new Set((await firstText(place.config)).split('\n'))
  return {
    origin: 'distribution',
    version: release,
    machine,
    source,
    recipe: '',
    acpi: !config.has('CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y'),
    has: {
      ninep: has.has('9p') && has.has('9pnet_virtio'),
      virtiofs: has.has('virtiofs'),
      vsock: has.has('vmw_vsock_virtio_transport'),
      smp: config.has('CONFIG_SMP=y'),
    },
    image,
    modules: modules.map(({ name, content, when }) => ({ name, content, when })),
  }
}

async function firstFolder(folders: readonly string[]): Promise<string> {
  for (const folder of folders) {
    if ((await readdir(folder).catch(() => [])).length > 0) return folder
  }
  throw new CoveError('kernel-invalid', 'the kernel has no modules')
}

async function firstText(files: readonly string[]): Promise<string> {
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => undefined)
    if (text !== undefined) return text
  }
  return ''
}
