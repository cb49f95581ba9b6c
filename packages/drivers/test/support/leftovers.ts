import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Processes, cgroups, mounts and files of the machines of one test's installation. */
export async function leftoversOf(folder: string, installation: string): Promise<readonly string[]> {
  return [
    ...(await descendants(folder)),
    ...(await cgroups(installation)),
    ...(await mounts(folder)),
    ...(await files(join(folder, 'd/machines'))),
    ...(await files(join(folder, 'd/networks'))),
    ...(await files(join(folder, 'l/records'))),
  ]
}

interface Seen {
  readonly parent: number
  readonly command: string
}

async function processes(): Promise<ReadonlyMap<number, Seen>> {
  const found = new Map<number, Seen>()
  for (const name of await list('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await read(`/proc/${name}/stat`)
    const [state = '', parent = '0'] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const command = (await read(`/proc/${name}/cmdline`)).replaceAll('\0', ' ')
    // What has ended and waits for whoever reaps it is no leftover of ours.
    if (stat !== '' && state !== 'Z' && state !== 'X') found.set(Number(name), { parent: Number(parent), command })
  }
  return found
}

const isLauncher = ({ command }: Seen, folder: string): boolean => command.includes(` launcher --state ${folder}`)

/** The launcher of this folder. */
export async function launcherPid(folder: string): Promise<number> {
  for (const [pid, seen] of await processes()) if (isLauncher(seen, folder)) return pid
  throw new Error(`no launcher in ${folder}`)
}

/** Everything below the launcher of this folder. */
async function descendants(folder: string): Promise<readonly string[]> {
  const all = await processes()
  const below = (pid: number): boolean => {
    const parent = all.get(pid)?.parent ?? 0
    const above = all.get(parent)
    return above !== undefined && (isLauncher(above, folder) || below(parent))
  }
  return [...all].filter(([pid]) => below(pid)).map(([pid, { command }]) => `process ${pid}: ${command}`)
}

async function cgroups(installation: string): Promise<readonly string[]> {
  const found: string[] = []
  const root = '/sys/fs/cgroup'
  for (const tree of [root, ...(await list(root)).map((name) => join(root, name))]) {
    for (const group of await list(tree)) if (group.includes(installation)) found.push(`cgroup ${join(tree, group)}`)
  }
  return found
}

async function mounts(folder: string): Promise<readonly string[]> {
  const lines = (await read('/proc/self/mountinfo')).split('\n')
  return lines.filter((line) => line.includes(folder)).map((line) => `mount ${line}`)
}

async function files(folder: string): Promise<readonly string[]> {
  return (await list(folder)).map((name) => `file ${join(folder, name)}`)
}

function list(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => [])
}

function read(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}
