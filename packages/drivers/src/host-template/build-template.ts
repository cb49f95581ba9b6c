import { createHash, randomUUID } from 'node:crypto'
import { chmod, chown, cp, lstat, mkdir, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { skeleton, type Entry, type Users } from './skeleton.ts'

/** Layers of the `host` template, ready to be stacked under machines. */
export interface HostTemplate {
  /** Changes whenever anything that was taken from the host has changed. */
  readonly name: string
  /** Layer for `/`. */
  readonly root: string
  /** Layer on top of the host's `/usr`. */
  readonly usr: string
  /** Top-level folders of a host whose `/usr` is not merged, such as `/lib`: shown read-only. */
  readonly unmerged: readonly string[]
}

/** What of the host's `/etc` is shown: nothing with a secret or a name of the host in it. */
const FROM_ETC = ['ssl/certs', 'alternatives', 'ld.so.cache']
const TOP_LEVEL = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']
/** Raised when the generated files change, so that old layers are not taken for new ones. */
const GENERATION = 2

/**
 * Makes the layers below `folder`, or finds them made. They are never changed afterwards, for running machines
 * have them mounted; what has changed on the host makes new ones.
 */
export async function buildHostTemplate(folder: string, users: Users, host = '/'): Promise<HostTemplate> {
  const links = await topLevelLinks(host)
  const python = await pythonAlias(host)
  const name = await nameOf({ users, links, python, etc: await stampsOf(host) })
  const target = join(folder, name)
  const template: HostTemplate = {
    name,
    root: join(target, 'root'),
    usr: join(target, 'usr'),
    unmerged: links.filter(({ link }) => link === undefined).map(({ path }) => `/${path}`),
  }
  if (await exists(target)) return template

  await mkdir(folder, { recursive: true, mode: 0o755 })
  const aside = join(folder, `new-${randomUUID()}`)
  try {
    await mkdir(join(aside, 'root'), { recursive: true })
    await mkdir(join(aside, 'usr'))
    for (const path of [aside, join(aside, 'root'), join(aside, 'usr')]) await chmod(path, 0o755)
    await place(join(aside, 'root'), [...skeleton(users), ...links.map(asEntry)])
    for (const path of FROM_ETC) await copyFromHost(join(host, 'etc', path), join(aside, 'root/etc', path))
    if (python)
      await place(join(aside, 'usr'), [
        { path: 'bin', directory: true },
        { path: 'bin/python', link: 'python3' },
      ])
    await rename(aside, target)
  } catch (error) {
    await rm(aside, { recursive: true, force: true })
    // Another daemon of the same user may have made the same one.
    if (!(await exists(target))) throw error
  }
  return template
}

/** Removes layers that no machine uses; `inUse` holds their names. */
export async function pruneHostTemplates(folder: string, inUse: ReadonlySet<string>): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names) if (!inUse.has(name)) await rm(join(folder, name), { recursive: true, force: true })
}

async function place(root: string, entries: readonly Entry[]): Promise<void> {
  for (const entry of entries) {
    const path = join(root, entry.path)
    if ('link' in entry) {
      await symlink(entry.link, path)
      continue
    }
    if ('text' in entry) await writeFile(path, entry.text)
    else await mkdir(path)
    // Modes by chmod, for the daemon's umask must not reach into machines.
    await chmod(path, entry.mode ?? ('text' in entry ? 0o644 : 0o755))
    if (entry.uid !== undefined && entry.uid !== 0) await chown(path, entry.uid, entry.uid)
  }
}

async function copyFromHost(source: string, target: string): Promise<void> {
  if (!(await exists(source))) return
  await mkdir(dirname(target), { recursive: true, mode: 0o755 })
  await cp(source, target, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true })
}

/** A merged `/usr` has `/bin -> usr/bin` and the like; a folder in its place has no link. */
async function topLevelLinks(host: string): Promise<readonly { path: string; link: string | undefined }[]> {
  const found: { path: string; link: string | undefined }[] = []
  for (const path of TOP_LEVEL) {
    const stats = await lstat(join(host, path)).catch(() => undefined)
    if (stats === undefined) continue
    found.push({ path, link: stats.isSymbolicLink() ? await readlink(join(host, path)) : undefined })
  }
  return found
}

function asEntry({ path, link }: { path: string; link: string | undefined }): Entry {
  return link === undefined ? { path, directory: true } : { path, link }
}

/** `python` means Python 3 inside, whatever the host says, as long as the host has it. */
async function pythonAlias(host: string): Promise<boolean> {
  return (await exists(join(host, 'usr/bin/python3'))) && !(await exists(join(host, 'usr/bin/python')))
}

async function stampsOf(host: string): Promise<readonly string[]> {
  const stamps: string[] = []
  for (const path of FROM_ETC) {
    const stats = await lstat(join(host, 'etc', path)).catch(() => undefined)
    stamps.push(stats === undefined ? '-' : `${stats.ino}:${stats.size}:${stats.mtimeMs}`)
  }
  return stamps
}

async function nameOf(facts: object): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify({ generation: GENERATION, ...facts }))
  return hash.digest('hex').slice(0, 16)
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}
