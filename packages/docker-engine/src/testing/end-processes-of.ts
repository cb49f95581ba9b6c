import { readdirSync, readFileSync, readlinkSync, rmdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const PATIENCE_MS = 20_000
const LOOK_MS = 20
const CGROUPS = '/sys/fs/cgroup'

/**
 * Ends whatever a daemon with all its files in this folder has left running: its containerd, programs on the way, shims,
 * and containers, also those whose shim has died. The folder's name is random: nobody else names it. Throws when
 * something cannot be ended.
 */
export async function endProcessesOf(folder: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const found = processesOf(folder)
    if (found.length === 0) return
    // All together and again: one that is about to start another is found, or what it has started is.
    for (const pid of found) kill(pid)
    if (performance.now() > deadline) throw new Error(`cannot end ${found.map(commandOf).join('; ')}`)
    await delay(LOOK_MS)
  }
}

/** The control groups of containers that were ended without their daemon. */
export function removeCgroupsOf(containers: readonly string[]): void {
  const places = [CGROUPS, ...namesIn(CGROUPS).map((name) => join(CGROUPS, name))]
  for (const id of containers) {
    for (const place of places) {
      try {
        rmdirSync(join(place, 'docker', id))
      } catch {
        // It has none there.
      }
    }
  }
}

function processesOf(folder: string): readonly number[] {
  return namesIn('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && !hasEnded(pid) && (isNamed(pid, folder) || isInside(pid, folder)))
}

/** A word of its command is a path in there. */
function isNamed(pid: number, folder: string): boolean {
  return textOf(`/proc/${pid}/cmdline`)
    .split('\0')
    .some((word) => word.includes(`${folder}/`))
}

/** Its root is a folder in there: only a container has that. */
function isInside(pid: number, folder: string): boolean {
  if (mountsOf(pid) === mountsOf(process.pid)) return false
  return textOf(`/proc/${pid}/mountinfo`)
    .split('\n')
    .map((line) => line.split(' '))
    .some(([, , , root = '', target]) => target === '/' && root.includes(`/${basename(folder)}/`))
}

function mountsOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`)
  } catch {
    return undefined
  }
}

/** Whoever should reap it may be slow. */
const hasEnded = (pid: number): boolean => /^\d+ \(.*\) [ZX] /s.test(`${textOf(`/proc/${pid}/stat`)} `)

const commandOf = (pid: number): string =>
  `${pid} ${textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').slice(0, 200)}`

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Gone already.
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
