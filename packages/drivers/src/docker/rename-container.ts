import { readFile } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import type { DockerEngine } from '@cove/docker-engine'
import type { Launcher } from '@cove/runner'
import { liveProcess } from '../host/live-process.ts'

/** Gives things of this host their names; absent where no launcher runs. */
export type HostNames = Pick<Launcher, 'setHostname'>

/**
 * Gives a container another host name, which Docker cannot and the container may not. Only for an engine on this very
 * host: the process that it names is proven to be the container's. `unsupported` elsewhere.
 */
export async function renameContainer(
  engine: DockerEngine,
  container: string,
  hostname: string,
  names: HostNames | undefined,
): Promise<void> {
  const { pid } = await engine.inspectContainer(container)
  const process = await liveProcess(pid)
  // The engine may be elsewhere, and the pid mean something else here.
  const groups = process === undefined ? '' : await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')
  if (names === undefined || process === undefined || !groups.includes(container)) {
    throw new CoveError(
      'unsupported',
      'a container of an engine elsewhere keeps the host name that it was made with',
      { container },
      { fix: 'Make pools on an engine of this host, or with a driver of its own.' },
    )
  }
  await names.setHostname(process, hostname)
}
