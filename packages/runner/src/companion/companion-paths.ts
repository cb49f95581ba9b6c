import { isAbsolute, posix, relative, resolve } from 'node:path'
import type { HostMount } from '../docker/docker-options.ts'

/**
 * Where on this machine a path of the container is: what is mounted there, from the most exact mount. A path that no
 * mount shows is taken as it is.
 */
export function hostPath(path: string, mounts: readonly HostMount[]): string {
  const nearest = mounts
    .filter(({ target }) => isInside(path, target))
    .toSorted((a, b) => b.target.length - a.target.length)[0]
  return nearest === undefined ? path : resolve(nearest.source, posix.relative(nearest.target, path))
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path)
  return way !== '..' && !way.startsWith('../') && !isAbsolute(way)
}
