import { existsSync } from 'node:fs'
import { isRoot } from './host-rig.ts'

/** Why the driver of a runtime cannot be tried here. */
export function skipped(runtime: 'crun' | 'runc'): string | undefined {
  const installed = ['/usr/bin', '/usr/sbin'].some((folder) => existsSync(`${folder}/${runtime}`))
  if (!installed) return `${runtime} is not installed`
  return runtime === 'runc' && !isRoot ? 'runc needs root' : undefined
}
