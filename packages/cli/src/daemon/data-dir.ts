import { chmod, link, mkdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CoveError, randomId, type Random } from '@cove/domain'

/** Where an installation keeps its things. Everything is private to the user who runs Cove. */
export interface DataDir {
  readonly path: string
  readonly serverStore: string
  readonly nodeStore: string
  readonly drivers: string
  /** The log of who changed what. */
  readonly audit: string
  readonly keyFile: string
  readonly daemonFile: string
  readonly daemonLog: string
  /** Owner of everything that this installation starts on the host. */
  readonly installation: string
  readonly apiKey: string
}

/** Makes the folder, the installation id and the API key at the first start, and reads them at every later one. */
export async function openDataDir(path: string, random: Random): Promise<DataDir> {
  try {
    await makeFolder(path)
    await chmod(path, 0o700)
  } catch (cause) {
    throw new CoveError(
      'io-error',
      `the data directory ${path} cannot be made: ${message(cause)}`,
      { path },
      {
        fix: 'Choose a folder that you may write to with --data-dir.',
        cause,
      },
    )
  }
  const keyFile = join(path, 'api-key')
  const installation = await readOrMake(join(path, 'installation'), random, () => randomId(random), /^[a-z2-7]{16}$/)
  const apiKey = await readOrMake(keyFile, random, () => newApiKey(random), /^cove_[0-9a-f]{40}$/)
  return {
    path,
    serverStore: join(path, 'server.db'),
    nodeStore: join(path, 'node.db'),
    drivers: join(path, 'drivers'),
    audit: join(path, 'audit'),
    keyFile,
    daemonFile: join(path, 'daemon.json'),
    daemonLog: join(path, 'daemon.log'),
    installation,
    apiKey,
  }
}

/** 160 random bits; the prefix lets secret scanners find a leaked one. */
const newApiKey = (random: Random): string => `cove_${Buffer.from(random.bytes(20)).toString('hex')}`

/** Parents first. Node's own recursive mkdir never ends where a file system refuses folders as /proc does. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return
    if (code !== 'ENOENT' || dirname(path) === path || (await exists(dirname(path)))) throw error
    await makeFolder(dirname(path))
    await makeFolder(path)
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch {
    return false
  }
}

const errnoOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

async function readOrMake(file: string, random: Random, make: () => string, pattern: RegExp): Promise<string> {
  const existing = await readIfThere(file)
  if (existing === undefined) {
    // Written aside and linked into place: a crash leaves no empty file, and of two first starts one wins.
    const aside = `${file}.${randomId(random)}`
    await writeFile(aside, `${make()}\n`, { mode: 0o600 })
    try {
      await link(aside, file)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    } finally {
      await unlink(aside)
    }
  }
  const text = (existing ?? (await readFile(file, 'utf8'))).trim()
  if (!pattern.test(text)) {
    throw new CoveError(
      'config-invalid',
      `${file} does not hold what Cove wrote there`,
      { file },
      {
        fix: `Restore the file, or remove it to have a new one made at the next start.`,
      },
    )
  }
  return text
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

const message = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** For those who only look: nothing is made. */
export const daemonFilePath = (dataDir: string): string => join(dataDir, 'daemon.json')
