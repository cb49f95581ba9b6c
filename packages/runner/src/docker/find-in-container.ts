import { posix } from 'node:path'
import type { DockerEngine } from '@cove/docker-engine'

const ANY_MAY_RUN = 0o111
const MOST_LINKS = 16

/** Where in the container the program is: by its path, or by its name in the folders of `path`. No tool of it is used. */
export async function findInContainer(
  engine: DockerEngine,
  container: string,
  program: string,
  { path, directory }: { readonly path: string; readonly directory: string },
  signal?: AbortSignal,
): Promise<string | undefined> {
  const folders = program.includes('/') ? [directory] : path.split(':').filter((folder) => posix.isAbsolute(folder))
  for (const folder of folders) {
    const candidate = posix.resolve(folder, program)
    if (await mayRun(engine, container, candidate, signal)) return candidate
  }
  return undefined
}

async function mayRun(engine: DockerEngine, container: string, file: string, signal?: AbortSignal): Promise<boolean> {
  let at = file
  for (let links = 0; links < MOST_LINKS; links += 1) {
    const stat = await engine.statPath(container, at, signal)
    if (stat?.kind !== 'link') return stat?.kind === 'file' && (stat.mode & ANY_MAY_RUN) !== 0
    at = stat.linkTarget
  }
  return false
}
