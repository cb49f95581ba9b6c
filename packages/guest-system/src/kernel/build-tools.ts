import { access } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import { findProgram } from '../tools/find-program.ts'
import { runTool } from '../tools/run-tool.ts'

/** What a build needs, and the packages of Debian that it is in. */
const NEEDED: Readonly<Record<string, string>> = {
  make: 'make',
  gcc: 'gcc',
  ld: 'binutils',
  strip: 'binutils',
  flex: 'flex',
  bison: 'bison',
  bc: 'bc',
  tar: 'tar',
  xz: 'xz-utils',
}
const HEADERS: Readonly<Record<string, string>> = {
  '/usr/include/stdio.h': 'libc6-dev',
  '/usr/include/libelf.h': 'libelf-dev',
}

export interface BuildTools {
  readonly make: string
  readonly tar: string
  readonly strip: string
  /** What a program that was built with them depends on. */
  readonly versions: string
}

/** `unsupported` with what to install when something is missing. */
export async function findBuildTools(signal: AbortSignal, folders?: readonly string[]): Promise<BuildTools> {
  const programs = await Promise.all(
    Object.entries(NEEDED).map(async ([name, from]) => ({ name, from, path: await findProgram(name, folders) })),
  )
  const headers = await Promise.all(
    Object.entries(HEADERS).map(async ([path, from]) => ({
      name: path,
      from,
      path: await access(path).then(
        () => path,
        () => undefined,
      ),
    })),
  )
  const missing = [...programs, ...headers].filter(({ path }) => path === undefined)
  if (missing.length > 0) {
    throw new CoveError(
      'unsupported',
      `a kernel cannot be built here: ${missing.map(({ name }) => name).join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`,
      {},
      { fix: `Install what is missing: apt-get install ${[...new Set(missing.map(({ from }) => from))].join(' ')}` },
    )
  }
  const pathOf = (name: string): string => programs.find((program) => program.name === name)?.path ?? name
  const versions = await Promise.all(['gcc', 'ld'].map(async (name) => await versionOf(pathOf(name), signal)))
  return { make: pathOf('make'), tar: pathOf('tar'), strip: pathOf('strip'), versions: versions.join('\n') }
}

async function versionOf(program: string, signal: AbortSignal): Promise<string> {
  const [first = ''] = await runTool({ program, args: ['--version'], cwd: '/', signal })
  return first
}
