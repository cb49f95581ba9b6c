import { randomUUID } from 'node:crypto'
import { chmod, link, lstat, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'

/** The launcher's sockets must fit into an address. */
const MOST_BYTES = 80

/**
 * Where the runner keeps its records when nobody says where: the user's runtime folder, else the one for state, else a
 * private one below the temporary folder when that path would be too long for a socket.
 */
export function defaultStateFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const home = env['HOME'] ?? homedir()
  const candidates = [
    env['XDG_RUNTIME_DIR'] === undefined ? undefined : join(env['XDG_RUNTIME_DIR'], 'cove/runner'),
    join(env['XDG_STATE_HOME'] ?? join(home, '.local/state'), 'cove/runner'),
    join(tmpdir(), `cove-runner-${userInfo().uid}`),
  ]
  return candidates.find(fits) ?? `/tmp/cove-runner-${userInfo().uid}`
}

/** What can be made again at any time. */
export function defaultCacheFolder(env: Readonly<Record<string, string | undefined>>): string {
  return join(env['XDG_CACHE_HOME'] ?? join(env['HOME'] ?? homedir(), '.cache'), 'cove/nix')
}

function fits(path: string | undefined): path is string {
  return path?.startsWith('/') === true && Buffer.byteLength(path) <= MOST_BYTES
}

/** Made private when it is not there. `permission-denied` when it is somebody else's, or no folder. */
export async function openStateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw CoveError.from(error, 'io-error')
  })
  const facts = await lstat(folder)
  // A link or another one's folder would give away everything that runs here.
  if (!facts.isDirectory() || facts.uid !== process.getuid?.()) {
    throw new CoveError('permission-denied', `${folder} is not a folder of this user`, { folder })
  }
  if ((facts.mode & 0o077) !== 0) await chmod(folder, 0o700)
}

/** Names what is kept there, also in labels of containers. Made once; whoever comes at the same time gets the same. */
export async function installationOf(folder: string): Promise<string> {
  const path = join(folder, 'installation')
  const known = await readFile(path, 'utf8').catch(() => undefined)
  if (known !== undefined && /^[a-f0-9-]{36}$/.test(known)) return known
  // What is there and cannot be read must not stay in the way for ever.
  if (known !== undefined) await rm(path, { force: true })
  const aside = `${path}.${randomUUID()}`
  try {
    await writeFile(aside, randomUUID(), { mode: 0o600, flag: 'wx' })
    await link(aside, path).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    })
  } catch (error) {
    throw CoveError.from(error, 'io-error')
  } finally {
    await rm(aside, { force: true })
  }
  return await readFile(path, 'utf8')
}
