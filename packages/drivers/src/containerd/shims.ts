import { execFile } from 'node:child_process'
import { readdir, readFile, readlink, rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { setTimeout as pause } from 'node:timers/promises'
import type { Containerd } from '@cove/containerd-engine'
import { liveProcess, signalProcess, type LiveProcess } from '../host/live-process.ts'

const run = promisify(execFile)
const SCHEME = 'unix://'
const DELETE_MS = 20_000
const END_MS = 5_000
const LOOK_MS = 5

/**
 * Ends the shims of a container that containerd does not know of any more: a start that failed may leave one behind, with
 * the container's processes and mounts. The shim's own program knows how to take all of that back.
 */
export async function endLostShims(containerd: Containerd, container: string): Promise<void> {
  for (const shim of await shimsOf(containerd, container)) {
    const [program, bundle] = await Promise.all([
      readlink(`/proc/${shim.pid}/exe`).catch(() => undefined),
      readlink(`/proc/${shim.pid}/cwd`).catch(() => undefined),
    ])
    // Where it listens; a shim that is killed leaves it.
    const address = await readFile(`/proc/${shim.pid}/cwd/address`, 'utf8').catch(() => '')
    await endProcess(shim)
    if (address.startsWith(SCHEME)) await rm(address.slice(SCHEME.length).trim(), { force: true })
    if (program === undefined || bundle === undefined) continue
    const flags = ['-namespace', containerd.namespace, '-address', containerd.address, '-id', container]
    await run(program, [...flags, '-bundle', bundle, 'delete'], {
      cwd: bundle,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      timeout: DELETE_MS,
    }).catch(() => undefined)
  }
}

async function shimsOf(containerd: Containerd, container: string): Promise<readonly LiveProcess[]> {
  const found: LiveProcess[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const words = (await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')).split('\0')
    if (words[0]?.includes('containerd-shim') !== true) continue
    const said = (flag: string) => words[words.indexOf(flag) + 1]
    if (said('-namespace') !== containerd.namespace || said('-id') !== container) continue
    if (said('-address') !== containerd.address) continue
    const process = await liveProcess(Number(name))
    if (process !== undefined) found.push(process)
  }
  return found
}

async function endProcess(process: LiveProcess): Promise<void> {
  const end = performance.now() + END_MS
  while ((await signalProcess(process, 'SIGKILL')) && performance.now() < end) await pause(LOOK_MS)
}
