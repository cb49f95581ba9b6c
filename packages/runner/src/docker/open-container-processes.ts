import type { DockerEngine } from '@cove/docker-engine'
import type { ContainerProcesses } from './container-processes.ts'
import { openLocalProcesses } from './local-processes.ts'
import { ShellProcesses } from './shell-processes.ts'

/**
 * By the pids of this machine where the engine is here and this user may: that needs nothing inside. By a shell in the
 * container otherwise.
 */
export async function openContainerProcesses(engine: DockerEngine, container: string): Promise<ContainerProcesses> {
  const { id, pid } = await engine.inspectContainer(container)
  return (await openLocalProcesses(id, pid)) ?? new ShellProcesses(engine, container)
}
