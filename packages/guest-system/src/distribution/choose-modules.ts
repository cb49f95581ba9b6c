import { CoveError } from '@cove/domain'
import type { ModuleFacts } from './module-facts.ts'

interface Wanted {
  readonly name: string
  /** When `cove-boot` loads it; otherwise always. */
  readonly when?: string
}

/** What a guest cannot do without. */
const NEEDED: readonly Wanted[] = [
  { name: 'virtio_mmio' },
  { name: 'virtio_blk' },
  { name: 'virtio_console', when: 'port' },
  { name: 'ext4' },
  { name: 'erofs', when: 'erofs' },
  { name: 'overlay', when: 'machine' },
]

/** What makes more possible, as far as a kernel has it. */
const WELCOME: readonly Wanted[] = [
  { name: 'virtio_rng', when: 'machine' },
  { name: 'virtio_balloon', when: 'machine' },
  { name: 'af_packet', when: 'machine' },
  { name: 'virtio_net', when: 'net' },
  { name: 'virtiofs', when: 'virtiofs' },
  { name: '9pnet_virtio', when: '9p' },
  { name: '9p', when: '9p' },
  { name: 'vmw_vsock_virtio_transport', when: 'vsock' },
]

/** Modules behind names of algorithms, which nothing in an initramfs could look up. They work on any processor. */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = { crc32c: ['crc32c_generic'] }

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

export interface ChosenModule extends Module {
  /** Each is a reason to load it; without one it is always loaded. */
  readonly when: readonly string[]
}

export interface ChosenModules {
  /** In the order in which they have to be loaded. */
  readonly modules: readonly ChosenModule[]
  readonly has: ReadonlySet<string>
}

/** The modules that a guest needs, each behind those it depends on; `kernel-invalid` when one is missing. */
export async function chooseModules(kernel: ModulesOfKernel): Promise<ChosenModules> {
  const chosen = new Map<string, Module>()
  const reasons = new Map<string, Set<string>>()
  const always = new Set<string>()
  const has = new Set<string>()
  const add = async (name: string, when: string | undefined, path: readonly string[]): Promise<boolean> => {
    if (kernel.builtIn.has(name) || path.includes(name)) return true
    const module = chosen.get(name) ?? (await kernel.read(name))
    if (module === undefined) return false
    if (when === undefined) always.add(name)
    else reasons.set(name, (reasons.get(name) ?? new Set()).add(when))
    const { depends, before } = module.facts
    const inner = [...path, name]
    for (const other of before.flatMap((wanted) => ALGORITHMS[wanted] ?? [wanted])) await add(other, when, inner)
    for (const other of depends) {
      if (!(await add(other, when, inner))) throw missing(other)
    }
    chosen.set(name, module)
    return true
  }
  for (const { name, when } of NEEDED) {
    if (!(await add(name, when, []))) throw missing(name)
  }
  for (const { name, when } of WELCOME) {
    if (await add(name, when, [])) has.add(name)
  }
  const modules = [...chosen.values()].map((module) => ({
    ...module,
    when: always.has(module.name) ? [] : [...(reasons.get(module.name) ?? [])].toSorted(),
  }))
  return { modules, has }
}

function missing(name: string): CoveError {
  return new CoveError('kernel-invalid', `the kernel has no module ${name}, which a guest needs`, { module: name })
}
