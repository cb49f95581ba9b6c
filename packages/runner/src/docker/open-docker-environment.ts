import { findEngineAddress, openDockerEngine } from '@cove/docker-engine'
import { planContainer } from './container-plan.ts'
import { DockerEnvironment } from './docker-environment.ts'
import type { DockerEnvironmentOptions } from './docker-options.ts'
import { keepSocketOut } from './docker-socket.ts'

/**
 * A container of a Docker Engine as an environment; nothing is made before its `init`. `driver-failed` when no engine
 * answers, `invalid-argument` for options that make no sense, `permission-denied` for a mount that would show the
 * container the engine's socket without being asked for it.
 */
export async function openDockerEnvironment(
  options: DockerEnvironmentOptions,
  signal?: AbortSignal,
): Promise<DockerEnvironment> {
  planContainer(options, { owner: 'durable', imageId: '' })
  const { engine, mounts = [], dockerSocket = false } = options
  const address = engine?.address ?? (await findEngineAddress(options.hostEnvironment ?? process.env))
  if (!dockerSocket) await keepSocketOut(mounts, address)
  if (engine !== undefined) return new DockerEnvironment(options, engine, () => {})
  const opened = await openDockerEngine(address, signal)
  return new DockerEnvironment(options, opened, () => opened[Symbol.dispose]())
}
