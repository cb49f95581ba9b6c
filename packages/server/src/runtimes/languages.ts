import type { Sandbox } from '@cove/domain'
import type { Ground } from './ground.ts'
import type { RunCode, RuntimeName } from './runtimes.ts'

interface Language {
  /** For people. */
  readonly title: string
  readonly extension: string
  /** Programs that can run it, the best first; names are looked for in the PATH. */
  readonly programs: readonly string[]
  /** Where a program of installed packages would take the place of a configured one, below the ground's folder. */
  readonly installed?: string
}

export const LANGUAGES: Readonly<Record<RuntimeName, Language>> = {
  python: { title: 'Python', extension: '.py', programs: ['python3', 'python'], installed: 'python/bin/python' },
  node: { title: 'Node.js', extension: '.js', programs: ['node', 'nodejs'] },
  shell: { title: 'a shell', extension: '.sh', programs: ['bash', 'sh'] },
}

/** What is tried in turn. The virtual environment of installed packages is first in the PATH. */
export function interpreters(runtime: RuntimeName, { folder }: Ground, configured: string | undefined): string[] {
  const { programs, installed } = LANGUAGES[runtime]
  if (configured === undefined) return [...programs]
  return installed === undefined ? [configured] : [`${folder}/${installed}`, configured]
}

/**
 * The variables that code starts with: installed programs come first in the PATH; Python finds modules that lie in
 * the folder where the code starts, as it would find them beside a script, and loses no output when it is ended.
 */
export function environment(ground: Ground, { spec }: Sandbox, request: RunCode): Readonly<Record<string, string>> {
  const { env = {}, cwd = ground.home, runtime } = request
  const path = { ...env, PATH: withPackages(ground, env['PATH'] ?? ground.path) }
  if (runtime !== 'python') return path
  const modules = env['PYTHONPATH'] ?? spec.env['PYTHONPATH']
  return {
    PYTHONUNBUFFERED: '1',
    ...path,
    PYTHONPATH: modules === undefined || modules === '' ? cwd : `${cwd}:${modules}`,
  }
}

export function withPackages({ folder }: Ground, path: string): string {
  return `${folder}/python/bin:${folder}/node/node_modules/.bin:${path}`
}
