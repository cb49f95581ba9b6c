import { chmod, copyFile, mkdir, readlink, rename, rm, stat, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { TOOL_FD } from './tool.ts'

/**
 * Where the launcher puts the machine's parts together, inside the private mount namespace that the tool starts in.
 * `/sys` is on every host, can be entered by everybody, and nothing in there is needed any more.
 */
export const STAGE = '/sys'
/** The machine's root, complete but for what only the tool can mount. */
export const ROOT = `${STAGE}/root`
/** The guest program inside. */
export const AGENT_PATH = '/run/.cove-agent'

/** What runtimes look for in a bundle is whatever has been passed to them. */
const CONFIG = `/proc/self/fd/${TOOL_FD}`

const PLACES = ['', 'root', 'usr', 'dev', 'disk', 'run', 'bundle', 'empty']

/**
 * A folder with a place for every part of a machine. It is shown in the private mount namespace of each machine's
 * tool, which could not enter the state directory itself. `more`: further folders, with their parents.
 */
export async function buildStage(stage: string, guestProgram: string, more: readonly string[]): Promise<void> {
  for (const name of [...PLACES, ...more]) {
    await mkdir(join(stage, name), { recursive: true })
    await chmod(join(stage, name), 0o755)
  }
  const bundle = join(stage, 'bundle/config.json')
  if ((await readlink(bundle).catch(() => '')) !== CONFIG) {
    await rm(bundle, { force: true })
    await symlink(CONFIG, bundle)
  }
  // Replaced by renaming: machines that run keep the program that they were started with.
  const program = join(stage, 'program')
  if (await sameFile(program, guestProgram)) return
  const aside = join(stage, `program.${process.pid}`)
  try {
    await copyFile(guestProgram, aside)
    await chmod(aside, 0o755)
    await rename(aside, program)
  } catch (cause) {
    await rm(aside, { force: true })
    throw new CoveError('config-invalid', `the guest program ${guestProgram} cannot be read`, {}, { cause })
  }
}

async function sameFile(copy: string, original: string): Promise<boolean> {
  const [a, b] = await Promise.all([stat(copy).catch(() => undefined), stat(original).catch(() => undefined)])
  return a !== undefined && b !== undefined && a.size === b.size && a.mtimeMs >= b.mtimeMs
}
