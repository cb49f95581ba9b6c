import { lstat, mkdir, readFile, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { bootId } from './daemon-file.ts'

const TMPFS_MAGIC = 0x01021994

/**
 * Where things live that mean nothing after a restart of the host: records of host processes, sockets. In memory where
 * the host has a place for that, for there a file costs a tenth of what it costs on a disk; else in the data directory.
 * A daemon that is started again on the same boot finds the folder that the first one chose.
 */
export async function openRuntimeDir(dataDir: string, installation: string): Promise<string> {
  const note = join(dataDir, 'runtime-dir')
  const known = await readNote(note)
  if (known !== undefined) {
    await makePrivate(known)
    return known
  }
  const path = await choose(dataDir, installation)
  await makePrivate(path)
  const aside = `${note}.${process.pid}`
  await writeFile(aside, `${JSON.stringify({ path, bootId: bootId() })}\n`, { mode: 0o600 })
  await rename(aside, note)
  return path
}

/** For a daemon that leaves nothing running behind. */
export async function removeRuntimeDir(dataDir: string, path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
  await rm(join(dataDir, 'runtime-dir'), { force: true })
}

/** What an ordinary user has in memory may be removed when he logs out, but his sandboxes go on. */
async function choose(dataDir: string, installation: string): Promise<string> {
  for (const parent of process.getuid?.() === 0 ? ['/run', '/dev/shm'] : []) {
    const facts = await statfs(parent).catch(() => undefined)
    if (facts?.type === TMPFS_MAGIC) return join(parent, `cove-${installation}`)
  }
  return join(dataDir, 'run')
}

/** Undefined when there is none, and when the host has been started again since it was written. */
async function readNote(file: string): Promise<string | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch {
    return undefined
  }
  try {
    const note = JSON.parse(text) as { readonly path?: unknown; readonly bootId?: unknown }
    return typeof note.path === 'string' && note.bootId === bootId() ? note.path : undefined
  } catch (cause) {
    throw new CoveError(
      'config-invalid',
      `${file} does not hold what Cove wrote there`,
      { file },
      {
        fix: 'Restart the host, or remove the file when no sandbox of this installation runs.',
        cause,
      },
    )
  }
}

/** The parent may be anybody's: a folder that somebody else has made under this name is refused. */
async function makePrivate(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  const facts = await lstat(path)
  if (facts.isDirectory() && facts.uid === process.getuid?.() && (facts.mode & 0o077) === 0) return
  throw new CoveError(
    'permission-denied',
    `${path} is not a private folder of this user`,
    { path },
    {
      fix: `Remove ${path}, which does not belong to this Cove.`,
    },
  )
}
