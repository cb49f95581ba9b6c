import { CoveError } from '@cove/domain'
import type { ModuleFacts } from './module-facts.ts'

/** What a guest cannot do without. */
const NEEDED = ['virtio_mmio', 'virtio_blk', 'virtio_console', 'ext4', 'erofs', 'overlay'] as const

/** What makes more possible, as far as a kernel has it. */
const WELCOME = [
  'virtio_net',
  'virtio_rng',
  'virtio_balloon',
  'fuse',
  'virtiofs',
  '9pnet_virtio',
  '9p',
  'vmw_vsock_virtio_transport',
  'af_packet',
] as const

/** Programs that modules ask for by the name of an algorithm, which nothing in an initramfs could look up. */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = { crc32c: ['crc32c_generic', 'crc32c_intel'] }

/** Of a kernel, what it has as modules and what is in its image. Names with `_`. */
export interface ModulesOfKernel {
  readonly builtIn: ReadonlySet<string>
  /** Reads a module; undefined when the kernel has none of this name. */
  readonly read: (name: string) => Promise<Module | undefined>
}

export interface Module {
  readonly name: string
  readonly content: Buffer
  readonly facts: ModuleFacts
}

export interface ChosenModules {
  /** In the order in which they have to be loaded. */
  readonly modules: readonly Module[]
  readonly has: ReadonlySet<string>
}

/** The modules that a guest needs, each behind those it depends on; `kernel-invalid` when one is missing. */
export async function chooseModules(kernel: ModulesOfKernel): Promise<ChosenModules> {
  const chosen = new Map<string, Module>()
  const has = new Set<string>()
  const add = async (name: string, path: readonly string[]): Promise<boolean> => {
    if (kernel.builtIn.has(name) || chosen.has(name)) return true
    if (path.includes(name)) return true
    const module = await kernel.read(name)
    if (module === undefined) return false
    const { depends, before } = module.facts
    for (const other of before.flatMap((wanted) => ALGORITHMS[wanted] ?? [wanted])) await add(other, [...path, name])
    for (const other of depends) {
      if (!(await add(other, [...path, name]))) throw missing(other)
    }
    chosen.set(name, module)
    return true
  }
  for (const name of NEEDED) {
    if (!(await add(name, []))) throw missing(name)
  }
  for (const name of WELCOME) {
    if (await add(name, [])) has.add(name)
  }
  return { modules: [...chosen.values()], has }
}

function missing(name: string): CoveError {
  return new CoveError('kernel-invalid', `the kernel has no module ${name}, which a guest needs`, { module: name })
}
