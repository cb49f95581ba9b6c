import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { findProgram } from '../tools/find-program.ts'
import { runTool } from '../tools/run-tool.ts'

/** A package as the distribution's lists name it. */
export interface Package {
  readonly name: string
  readonly version: string
  /** What it depends on, without versions; of alternatives the first. */
  readonly depends: readonly string[]
}

export interface Apt {
  /** What would be installed by this name; undefined when the lists have none. */
  find(name: string, signal: AbortSignal): Promise<Package | undefined>
  /** The version that is installed. */
  installed(name: string, signal: AbortSignal): Promise<string | undefined>
  /** Fetches a package and unpacks it; answers the folder. Nothing is installed, and nobody needs to be root. */
  unpack(name: string, into: string, signal: AbortSignal): Promise<string>
}

/** Undefined where the distribution is not one with apt. */
export async function findApt(folders?: readonly string[]): Promise<Apt | undefined> {
  const names = ['apt-get', 'apt-cache', 'dpkg-deb', 'dpkg-query']
  const [get, cache, dpkgDeb, query] = await Promise.all(names.map(async (name) => await findProgram(name, folders)))
  if (get === undefined || cache === undefined || dpkgDeb === undefined || query === undefined) return undefined
  return {
    find: async (name, signal) => {
      const lines: string[] = []
      const show = ['--no-all-versions', '--quiet', 'show', name]
      try {
        await runTool({ program: cache, args: show, cwd: '/', signal, line: (text) => void lines.push(text) })
      } catch (error) {
        if (signal.aborted) throw error
        return undefined
      }
      return parsePackage(lines)
    },
    installed: async (name, signal) => {
      const args = ['--show', '--showformat=${db:Status-Status} ${Version}', name]
      const said = await runTool({ program: query, args, cwd: '/', signal }).catch(() => [])
      const [, version] = /^installed (\S+)$/.exec(said.join('')) ?? []
      return version
    },
    unpack: async (name, into, signal) => {
      await mkdir(into)
      // Whoever fetches may write here; apt's own user may not.
      const args = ['-o', 'APT::Sandbox::User=root', '--quiet', 'download', name]
      try {
        await runTool({ program: get, args, cwd: into, signal })
      } catch (error) {
        if (signal.aborted || CoveError.from(error).code === 'no-space') throw error
        throw new CoveError(
          'unsupported',
          `the distribution's package ${name} cannot be fetched: ${CoveError.from(error).message}`,
          { package: name },
          {
            cause: error,
            fix: 'Bring the lists of packages up to date with `apt-get update` (as root) and call again.',
          },
        )
      }
      const file = (await readdir(into)).find((found) => found.endsWith('.deb'))
      if (file === undefined) throw new CoveError('io-error', `apt-get fetched nothing for ${name}`)
      const tree = join(into, 'tree')
      await unpackPackage(dpkgDeb, join(into, file), tree, into, signal)
      return tree
    },
  }
}

async function unpackPackage(program: string, file: string, tree: string, cwd: string, signal: AbortSignal) {
  try {
    await runTool({ program, args: ['--extract', file, tree], cwd, signal })
  } catch (error) {
    if (signal.aborted || CoveError.from(error).code === 'no-space') throw error
    throw new CoveError(
      'kernel-invalid',
      `the package is damaged: ${CoveError.from(error).message}`,
      {},
      {
        cause: error,
        fix: 'Call again; the package is fetched anew.',
      },
    )
  }
}

/** The fields of the first package of what `apt-cache show` prints. */
export function parsePackage(lines: readonly string[]): Package | undefined {
  const end = lines.findIndex((line, index) => index > 0 && line === '')
  const own = lines.slice(0, end < 0 ? undefined : end)
  const field = (name: string): string | undefined =>
    own.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
  const name = field('Package')
  const version = field('Version')
  if (name === undefined || version === undefined) return undefined
  const depends = (field('Depends') ?? '').split(',').map((text) => text.trim().split(/[\s(|]/, 1)[0] ?? '')
  return { name, version, depends: depends.filter((other) => other !== '') }
}
