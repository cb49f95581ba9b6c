import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a test run could leave on the host, each thing as one line. */
export type Snapshot = ReadonlySet<string>

/** Prefix of every temporary folder that a test makes. */
const TEMPORARY = /^cove-test-/
/** The runtime directories of an installation: of its daemon, and of its supervised processes. */
const RUNTIME = /^cove-[a-z2-7]{16}(-procs)?$/
const CGROUP = /^cove/
/** Of a Docker Engine that a test has started. */
const CONTAINER = /^[0-9a-f]{64}$/

export function takeSnapshot(): Snapshot {
  return new Set([
    ...processes(),
    ...mounts(),
    ...cgroups(),
    ...networkNamespaces(),
    ...loopDevices(),
    ...networkLinks(),
    ...temporaries(),
  ])
}

/** What is there now and was not before, without what belongs to the caller itself. */
export function leftovers(before: Snapshot, after: Snapshot): readonly string[] {
  return [...after].filter((line) => !before.has(line)).toSorted()
}

function* processes(): Generator<string> {
  for (const pid of numbered('/proc')) {
    const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
    if (pid === String(process.pid) || command === '') continue
    if (/cove-guest|bwrap|slirp4netns|cove-test-/.test(command)) yield `process ${pid}: ${command.slice(0, 200)}`
  }
}

function* mounts(): Generator<string> {
  for (const line of read('/proc/self/mountinfo').split('\n')) {
    const fields = line.split(' ')
    if (fields.length > 5) yield `mount: ${fields[4]}`
  }
}

function* cgroups(): Generator<string> {
  for (const controller of list('/sys/fs/cgroup')) {
    for (const group of list(join('/sys/fs/cgroup', controller))) {
      if (CGROUP.test(group)) yield `cgroup: ${controller}/${group}`
      if (group !== 'docker') continue
      for (const container of list(join('/sys/fs/cgroup', controller, group))) {
        if (CONTAINER.test(container)) yield `cgroup of a container: ${controller}/${group}/${container}`
      }
    }
    if (CGROUP.test(controller)) yield `cgroup: ${controller}`
  }
}

function* networkNamespaces(): Generator<string> {
  for (const pid of numbered('/proc')) {
    try {
      yield `network namespace: ${readlinkSync(`/proc/${pid}/ns/net`)}`
    } catch {
      // Ended meanwhile, or a kernel thread.
    }
  }
}

function* networkLinks(): Generator<string> {
  for (const link of list('/sys/class/net')) yield `network link: ${link}`
}

function* loopDevices(): Generator<string> {
  for (const device of list('/sys/block')) {
    const file = read(`/sys/block/${device}/loop/backing_file`).trim()
    if (file !== '') yield `loop device: ${device} (${file})`
  }
}

function* temporaries(): Generator<string> {
  for (const folder of new Set([tmpdir(), '/tmp', '/var/tmp', '/dev/shm'])) {
    for (const name of list(folder)) if (TEMPORARY.test(name)) yield `file: ${join(folder, name)}`
  }
  for (const folder of ['/run', '/dev/shm']) {
    for (const name of list(folder)) if (RUNTIME.test(name)) yield `file: ${join(folder, name)}`
  }
}

const numbered = (folder: string): string[] => list(folder).filter((name) => /^\d+$/.test(name))

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
