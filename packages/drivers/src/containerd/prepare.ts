import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError, type Random, type ImageStore } from '@cove/domain'
import { Containerd } from '@cove/containerd-engine'
import { detectHierarchies, type Hierarchies } from '../cgroups/hierarchies.ts'
import { missingCgroupLimits, type MissingLimits } from '../cgroups/limit-support.ts'
import { planCgroups } from '../cgroups/plan.ts'
import { findProgram } from '../launched/find-program.ts'
import { buildStage } from '../launched/stage.ts'
import { seccompProfile } from '../oci/seccomp-profile.ts'
import { ownArchitecture } from '../seccomp/own-architecture.ts'
import { findCgroupPlaces, type CgroupPlaces } from './cgroup-tree.ts'
import { Images } from './images.ts'
import { INSTALLATION_LABEL } from './machine-record.ts'

/** Everything that is the same for all machines, made once. */
export interface Prepared {
  readonly containerd: Containerd
  readonly images: Images
  readonly folders: {
    /** One folder per machine. */
    readonly machines: string
    readonly empty: string
    readonly proof: string
  }
  /** The copy of it that machines run. */
  readonly guestProgram: string
  readonly version: string
  readonly runtime: string | undefined
  readonly hierarchies: Hierarchies
  readonly places: CgroupPlaces
  readonly missing: MissingLimits
  readonly seccomp: unknown
}

export interface PrepareOptions {
  readonly address: string
  readonly stateDir: string
  readonly runtimeDir?: string
  readonly installation: string
  readonly guestProgram: string
  readonly images: Pick<ImageStore, 'export' | 'list'>
  readonly runtime?: string
  readonly connect?: (address: string, namespace: string) => Containerd
}

export const NO_DISK_LIMIT = "containerd's overlayfs snapshots share one file system, which limits none of them"
const APART = 'the control groups of this host lie at different paths, and a runtime is told one'

export const namespaceOf = (installation: string): string => `cove-${installation}`

export async function prepare(options: PrepareOptions, random: Random): Promise<Prepared> {
  const namespace = namespaceOf(options.installation)
  const connect = options.connect ?? ((address) => new Containerd({ address, namespace }))
  const containerd = connect(options.address, namespace)
  try {
    return await prepareWith(containerd, options, random)
  } catch (error) {
    containerd.close()
    throw error
  }
}

async function prepareWith(containerd: Containerd, options: PrepareOptions, random: Random): Promise<Prepared> {
  const version = await containerd.version()
  await containerd
    .createNamespace(containerd.namespace, { [INSTALLATION_LABEL]: options.installation })
    .catch((error: unknown) => {
      if (!(error instanceof CoveError && error.code === 'already-exists')) throw error
    })
  const folders = {
    machines: join(options.runtimeDir ?? options.stateDir, 'machines'),
    empty: join(options.stateDir, 'empty'),
    stage: join(options.stateDir, 'stage'),
    proof: join(options.stateDir, 'proof'),
  }
  for (const path of [folders.machines, folders.empty]) await mkdir(path, { recursive: true, mode: 0o700 })
  await buildStage(folders.stage, options.guestProgram, [])
  const found = await detectHierarchies(options.installation)
  const places = await findCgroupPlaces(found)
  const apart = places.pathOf(planCgroups(found, 'probe', {})) === undefined
  const hierarchies = apart ? without(found) : found
  const images = new Images(containerd, options.images, random)
  await images.open()
  return {
    containerd,
    images,
    folders,
    guestProgram: join(folders.stage, 'program'),
    version,
    runtime: await findProgram('runc', options.runtime),
    hierarchies,
    places,
    missing: { ...missingCgroupLimits(hierarchies), diskBytes: NO_DISK_LIMIT },
    seccomp: seccompProfile(ownArchitecture()),
  }
}

function without({ prefix }: Hierarchies): Hierarchies {
  const missing = { missing: APART }
  return { prefix, controllers: { memory: missing, cpu: missing, pids: missing } }
}
