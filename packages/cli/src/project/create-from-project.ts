import { realpathSync } from 'node:fs'
import { basename, join, relative, sep } from 'node:path'
import { CoveError, describeExit, type Cove, type CreateOptions, type Sandbox } from '@cove/sdk'
import type { Io } from '../io.ts'
import { printable } from '../render/text.ts'
import { nodeFiles } from '../template/definition-source.ts'
import type { FoundProject } from './find-project.ts'

const HOME = '/home/user'
const TAIL_LINES = 20
/** What comes with a repository must not decide that its commands run with the rights of this machine. */
const NO_WALL = 'native'

/** What a project says, with what the command line says over it. A throw-away sandbox has no name. */
export function projectOptions({ path, project }: FoundProject, flags: CreateOptions, named: boolean): CreateOptions {
  if (project.driver === NO_WALL && flags.driver === undefined) {
    throw new CoveError(
      'config-invalid',
      `${path} asks for the driver ${NO_WALL}, which is no wall around what it runs`,
      { path },
      {
        fix: `Say so yourself with --driver ${NO_WALL} where you trust all of it, or ignore it with --no-project-file.`,
      },
    )
  }
  refuseNodeFiles(path, project.template, flags.template)
  const { template, name, isolation, driver, network, allow, env, labels, limits = {}, timeouts = {} } = project
  const own = {
    ...(template === undefined ? {} : { template }),
    ...(name === undefined || !named ? {} : { name }),
    ...(isolation === undefined ? {} : { isolation }),
    ...(driver === undefined ? {} : { driver }),
    ...networkOption(network, allow),
    ...(timeouts.idle === undefined ? {} : { idleTimeout: timeouts.idle }),
    ...(timeouts.lifetime === undefined ? {} : { lifetime: timeouts.lifetime }),
  }
  return {
    ...own,
    ...flags,
    env: { ...env, ...flags.env },
    labels: { ...labels, ...flags.labels },
    limits: {
      ...(limits.memory === undefined ? {} : { memoryBytes: limits.memory }),
      ...(limits.cpus === undefined ? {} : { cpus: limits.cpus }),
      ...(limits.processes === undefined ? {} : { processes: limits.processes }),
      ...(limits.disk === undefined ? {} : { diskBytes: limits.disk }),
      ...flags.limits,
    },
  }
}

/** A template of files of the node's would bring them to commands that come with the repository. */
function refuseNodeFiles(path: string, template: string | undefined, chosen: string | undefined): void {
  if (template === undefined || chosen !== undefined || nodeFiles(template) === undefined) return
  throw new CoveError(
    'config-invalid',
    `${path} asks for the template ${JSON.stringify(template.slice(0, 200))}, which reads files of the machine that Cove runs on`,
    { path },
    { fix: `Say so yourself with --template ${template.slice(0, 200)} where you trust all of it.` },
  )
}

function networkOption(network: 'none' | 'internet' | undefined, allow: readonly string[] | undefined) {
  if (network === 'internet' && allow !== undefined && allow.length > 0) {
    return { network: { kind: 'internet', allow } } as const
  }
  return network === undefined ? {} : { network }
}

interface Manner {
  readonly quiet: boolean
  /** Ends the waiting for the sandbox itself. */
  readonly creating: AbortSignal
  /** Ends what is being prepared, and removes the sandbox. */
  readonly first: AbortSignal
}

/** Makes a sandbox as the project wants it: files copied in and commands run, or nothing is left. */
export async function createFromProject(
  cove: Cove,
  found: FoundProject,
  options: CreateOptions,
  io: Io,
  { quiet, creating, first }: Manner,
): Promise<Sandbox> {
  const { path, directory, project } = found
  const say = (line: string): void => {
    if (!quiet) io.stderr.write(`${printable(line)}\n`)
  }
  say(`using ${path}`)
  const places = (project.copy ?? []).map((rule) => readRule(rule, directory, path))
  const sandbox = await cove.sandboxes.create(options, { signal: creating })
  try {
    for (const { from, to } of places) {
      say(`copy ${relative(directory, from) || '.'} to ${to}`)
      await sandbox.files.upload(from, to, { signal: first })
    }
    const commands = project.setup ?? []
    for (const [index, command] of commands.entries()) {
      say(`setup ${index + 1}/${commands.length}: ${command}`)
      await runSetup(sandbox, command, path, first)
    }
    return sandbox
  } catch (thrown) {
    await sandbox.delete().catch(() => {})
    throw thrown
  }
}

/** `<path>` or `<path>:<target>`; nothing outside of the project's own directory, links followed. */
function readRule(rule: string, directory: string, file: string): { readonly from: string; readonly to: string } {
  const [, path = '', target] = /^([^:]+)(?::(\/.*))?$/s.exec(rule) ?? []
  const refuse = (why: string): CoveError =>
    new CoveError(
      'config-invalid',
      `${file}: copy ${JSON.stringify(rule)} ${why}`,
      { path: file },
      {
        fix: 'Write a path below the directory of the file, and an absolute target behind a colon.',
      },
    )
  if (path === '') throw refuse('is neither <path> nor <path>:<absolute target>')
  let from: string
  try {
    from = realpathSync(join(directory, path))
  } catch {
    throw refuse('names nothing that is there')
  }
  const root = realpathSync(directory)
  if (from !== root && !from.startsWith(root + sep)) throw refuse('leads out of the directory of the file')
  return { from, to: target ?? (from === root ? `${HOME}/${basename(root)}` : `${HOME}/${basename(path)}`) }
}

async function runSetup(sandbox: Sandbox, command: string, path: string, signal: AbortSignal): Promise<void> {
  const result = await sandbox.run(['/bin/sh', '-c', command], { signal })
  if (result.ok) return
  const output = `${result.stdout}${result.stderr}`.trimEnd().split('\n').slice(-TAIL_LINES).join('\n')
  const said = output === '' ? '' : `\n${output}`
  throw new CoveError(
    'config-invalid',
    `setup ${JSON.stringify(command)} ${describeExit(result.exit)}${said}`,
    { path },
    {
      fix: `Correct \`setup\` in ${path}; the sandbox was removed again.`,
    },
  )
}
