import { realpath } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import type { EngineAddress } from '@cove/docker-engine'
import type { HostMount } from './docker-options.ts'

const USUAL = ['/var/run/docker.sock', '/run/docker.sock']

/** Whoever has the engine's socket has the host: no mount may show it by the way. `permission-denied` for one that does. */
export async function keepSocketOut(mounts: readonly HostMount[], address: EngineAddress | undefined): Promise<void> {
  const sockets = await Promise.all([...USUAL, ...(address?.kind === 'unix' ? [address.path] : [])].map(resolved))
  for (const { source } of mounts) {
    const shown = await resolved(source)
    const folder = shown === '/' ? '/' : `${shown}/`
    if (!sockets.some((socket) => socket === shown || socket.startsWith(folder))) continue
    throw new CoveError(
      'permission-denied',
      `the mount of ${source} would show the container the Docker socket`,
      { source },
      { fix: 'Mount something smaller, or ask for it by name with `dockerSocket`.' },
    )
  }
}

/** Without its links, as far as it is there. */
async function resolved(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    return path
  }
}
