import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import { CoveError } from '@cove/domain'

const run = promisify(execFile)

export const REQUIREMENTS = ['go', 'node', 'npm', 'python', 'poetry', 'nix', 'docker'] as const
export type Requirement = (typeof REQUIREMENTS)[number]

export type RequirementReport =
  | { readonly name: Requirement; readonly found: true; readonly path: string; readonly version: string }
  | { readonly name: Requirement; readonly found: false; readonly reason: string; readonly fix: string }

interface Facts {
  /** Programs that will do, the best first. */
  readonly programs: readonly string[]
  readonly version: readonly string[]
  readonly fix: string
}

const FACTS: Readonly<Record<Requirement, Facts>> = {
  go: {
    programs: ['go'],
    version: ['version'],
    fix: 'Install Go: `apt-get install golang`, `brew install go`, or from https://go.dev/dl.',
  },
  node: {
    programs: ['node'],
    version: ['--version'],
    fix: 'Install Node.js 22 or later: `brew install node`, or from https://nodejs.org.',
  },
  npm: {
    programs: ['npm'],
    version: ['--version'],
    fix: 'It comes with Node.js: see https://nodejs.org, or `apt-get install npm`.',
  },
  python: {
    programs: ['python3', 'python'],
    version: ['--version'],
    fix: 'Install Python 3: `apt-get install python3`, `brew install python`, or from https://python.org.',
  },
  poetry: {
    programs: ['poetry'],
    version: ['--version'],
    fix: 'Install Poetry: `pipx install poetry`, or `apt-get install python3-poetry`.',
  },
  nix: {
    programs: ['nix'],
    version: ['--version'],
    fix: 'Install Nix: `apt-get install nix-bin`, or from https://nixos.org/download.',
  },
  docker: {
    programs: ['docker'],
    version: ['--version'],
    fix: 'Install Docker: `apt-get install docker.io`, or from https://docs.docker.com/engine/install.',
  },
}

const VERSION_MS = 10_000

/** Looks for each of them on the PATH and asks it for its version; what is missing is told with how to get it. */
export function checkRequirements(
  names: readonly Requirement[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<readonly RequirementReport[]> {
  return Promise.all(names.map((name) => checkOne(name, env)))
}

/** Throws `command-not-found` for the first that is missing, with its fix. */
export async function needRequirements(
  names: readonly Requirement[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<void> {
  for (const report of await checkRequirements(names, env)) {
    if (report.found) continue
    throw new CoveError('command-not-found', report.reason, { requirement: report.name }, { fix: report.fix })
  }
}

/** The absolute path of a program; undefined when there is none that may be run. */
export async function findProgram(
  program: string,
  path: string | undefined = process.env['PATH'],
): Promise<string | undefined> {
  if (program.includes('/')) return isAbsolute(program) && (await mayRun(program)) ? program : undefined
  for (const folder of (path ?? '').split(delimiter)) {
    // An empty or relative entry means the working directory, which is not to be trusted.
    if (!isAbsolute(folder)) continue
    const candidate = join(folder, program)
    if (await mayRun(candidate)) return candidate
  }
  return undefined
}

async function checkOne(
  name: Requirement,
  env: Readonly<Record<string, string | undefined>>,
): Promise<RequirementReport> {
  const { programs, version, fix } = FACTS[name]
  let reason = `${programs[0]} is not installed`
  for (const program of programs) {
    const path = await findProgram(program, env['PATH'])
    if (path === undefined) continue
    try {
      const { stdout, stderr } = await run(path, [...version], { timeout: VERSION_MS, env })
      const said = /\d+(?:\.\d+)+/.exec(`${stdout} ${stderr}`)?.[0]
      if (said !== undefined) return { name, found: true, path, version: said }
      reason = `${path} does not tell its version`
    } catch (error) {
      reason = `${path} does not run: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`
    }
  }
  return { name, found: false, reason, fix }
}

async function mayRun(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
