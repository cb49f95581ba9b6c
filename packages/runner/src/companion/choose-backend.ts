import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { findEngineAddress, openDockerEngine, type DockerEngine, type EngineEnvironment } from '@cove/docker-engine'
import type { BackendName } from '../environment/runner-environment.ts'
import { checkRequirements } from '../host/requirements.ts'

/** What became of one backend, for people. */
export interface BackendChoice {
  readonly backend: BackendName
  readonly chosen: boolean
  /** Whether it would work; of those after the chosen one nobody asked. */
  readonly works: boolean | undefined
  readonly reason: string
}

export interface BackendWishes {
  /** Without one there is nothing to run in a container. */
  readonly image?: string | undefined
  /** Folder that may have a flake. */
  readonly flake?: string | undefined
  /** Tried first. */
  readonly prefer?: BackendName | undefined
  /** Nothing but the preferred one. */
  readonly only?: boolean | undefined
  /** Where the engine and nix are looked for. */
  readonly hostEnvironment: EngineEnvironment
  /** Whether this program can open a shell of nix at all. */
  readonly canNix: boolean
  readonly signal?: AbortSignal | undefined
}

export interface ChosenBackend {
  readonly backend: BackendName
  readonly choices: readonly BackendChoice[]
  /** Open, when it is docker: the caller closes it. */
  readonly engine: DockerEngine | undefined
}

/** Strongest first: a container is the same everywhere, a shell has at least the same programs. */
const ORDER: readonly BackendName[] = ['docker', 'nix', 'native']
const ENGINE_MS = 5_000

type Trial = { readonly works: boolean; readonly reason: string; readonly engine?: DockerEngine }

/**
 * The first backend that works, the preferred one before the others: what works is tried, not guessed. `unsupported`,
 * with the reason, when only one was allowed and it does not.
 */
export async function chooseBackend(wishes: BackendWishes): Promise<ChosenBackend> {
  const { prefer, only } = wishes
  const order = prefer === undefined ? ORDER : [prefer, ...(only === true ? [] : ORDER.filter((one) => one !== prefer))]
  const choices: BackendChoice[] = []
  let chosen: { readonly backend: BackendName; readonly engine: DockerEngine | undefined } | undefined
  for (const backend of order) {
    if (chosen !== undefined) {
      choices.push({ backend, chosen: false, works: undefined, reason: `${chosen.backend} goes before it` })
      continue
    }
    wishes.signal?.throwIfAborted()
    const { works, reason, engine } = await TRIALS[backend](wishes)
    choices.push({ backend, chosen: works, works, reason: backend === prefer ? `preferred; ${reason}` : reason })
    if (works) chosen = { backend, engine }
  }
  if (chosen !== undefined) return { ...chosen, choices }
  throw new CoveError('unsupported', `${prefer} cannot be used: ${choices[0]?.reason}`, { backend: prefer ?? '' })
}

const TRIALS: Readonly<Record<BackendName, (wishes: BackendWishes) => Promise<Trial>>> = {
  docker: tryDocker,
  nix: tryNix,
  native: () => Promise.resolve({ works: true, reason: 'this machine can always be used' }),
}

async function tryDocker({ image, hostEnvironment, signal }: BackendWishes): Promise<Trial> {
  if (image === undefined || image === '') return { works: false, reason: 'no image is given' }
  const deadline = AbortSignal.timeout(ENGINE_MS)
  try {
    const address = await findEngineAddress(hostEnvironment)
    const engine = await openDockerEngine(
      address,
      signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
    )
    return { works: true, reason: `an image is given, and Docker ${engine.version} answers`, engine }
  } catch (error) {
    if (signal?.aborted === true) throw CoveError.from(signal.reason, 'cancelled')
    return { works: false, reason: CoveError.from(error).message }
  }
}

async function tryNix({ flake, hostEnvironment, canNix }: BackendWishes): Promise<Trial> {
  if (flake === undefined) return { works: false, reason: 'no flake is given' }
  if (!canNix) return { works: false, reason: 'this program does not use nix' }
  if (!(await isReadable(join(flake, 'flake.nix')))) return { works: false, reason: `${flake} has no flake.nix` }
  if (process.platform !== 'linux' && process.platform !== 'darwin') {
    return { works: false, reason: `nix does not run on ${process.platform}` }
  }
  const [nix] = await checkRequirements(['nix'], hostEnvironment)
  if (nix?.found !== true) return { works: false, reason: nix?.reason ?? 'nix is not installed' }
  return { works: true, reason: `${flake} has a flake, and nix ${nix.version} is installed` }
}

async function isReadable(file: string): Promise<boolean> {
  try {
    await access(file, constants.R_OK)
    return true
  } catch {
    return false
  }
}
