import { readFileSync, statSync, type Stats } from 'node:fs'
import { dirname, join } from 'node:path'
import { CoveError } from '@cove/domain'
import type { Io } from '../io.ts'
import { writeWarning } from '../render/error.ts'
import type { Project } from './read-project.ts'

export const PROJECT_FILE = 'cove.yaml'
const MAX_BYTES = 1024 * 1024

export interface FoundProject {
  readonly path: string
  readonly directory: string
  readonly project: Project
}

/** The nearest `cove.yaml` from a directory upwards, read; undefined where there is none. */
export async function findProject(io: Io): Promise<FoundProject | undefined> {
  const from = currentDirectory()
  const path = from === undefined ? undefined : nearestFile(from, io)
  if (path === undefined) return undefined
  // The parser is loaded only where a file is.
  const { readProject } = await import('./read-project.ts')
  return { path, directory: dirname(path), project: readProject(readText(path), path) }
}

function nearestFile(from: string, io: Io): string | undefined {
  for (let directory = from; ; directory = dirname(directory)) {
    const path = join(directory, PROJECT_FILE)
    const stat = look(path)
    if (stat?.isFile() === true) {
      if (isTrusted(stat.uid, io)) return path
      writeWarning(io, `${path} belongs to another user and is not used`)
      return undefined
    }
    if (dirname(directory) === directory) return undefined
  }
}

/** Undefined when it was removed under our feet. */
function currentDirectory(): string | undefined {
  try {
    return process.cwd()
  } catch {
    return undefined
  }
}

/** Undefined also for what may not be looked at. */
function look(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

/** A file that somebody else has put into a shared directory must not decide what is copied and run. */
function isTrusted(owner: number, { env }: Io): boolean {
  return owner === 0 || owner === process.getuid?.() || owner === Number(env['SUDO_UID'] ?? Number.NaN)
}

function readText(path: string): string {
  try {
    const text = readFileSync(path, 'utf8')
    if (text.length <= MAX_BYTES) return text
  } catch (cause) {
    throw CoveError.from(cause, 'io-error')
  }
  throw new CoveError('config-invalid', `${path} is over 1 MiB`, { path })
}
