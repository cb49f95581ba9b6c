import { type DockerEngine, type EngineEnvironment, findEngineAddress, openDockerEngine } from '@cove/docker-engine'
import { type ContainerSweep, sweepContainers, type SweepOptions } from './sweep-containers.ts'

const ENGINE_MS = 5000

export interface SweepDockerOptions extends SweepOptions {
  /** Says where the engine is. Default: the variables of this program. */
  readonly hostEnvironment?: EngineEnvironment
}

/** `sweepContainers` on the engine that the `docker` command would use. One that does not answer is no error. */
export async function sweepDocker(options: SweepDockerOptions): Promise<ContainerSweep> {
  const { hostEnvironment = process.env, signal } = options
  const deadline = AbortSignal.timeout(ENGINE_MS)
  const ending = signal === undefined ? deadline : AbortSignal.any([deadline, signal])
  const address = await findEngineAddress(hostEnvironment)
  let engine: DockerEngine
  try {
    engine = await openDockerEngine(address, ending)
  } catch (error) {
    if (signal?.aborted === true) throw error
    return { reached: false, removed: [], ended: 0, problems: [] }
  }
  using opened = engine
  return await sweepContainers(opened, options)
}
