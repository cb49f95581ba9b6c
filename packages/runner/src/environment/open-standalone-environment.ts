import { access } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { CoveError } from '@cove/domain'
import type { Runner } from '../native/open-runner.ts'
import type { BackendName, InitOptions, RunnerEnvironment } from './runner-environment.ts'

export interface StandaloneOptions extends InitOptions {
  /** Makes the container's environment: without it a container that is asked for cannot be had. */
  readonly docker?: (directory: string) => Promise<RunnerEnvironment>
  /** Makes the shell's. Default: `runner.nix`. */
  readonly nix?: (directory: string) => Promise<RunnerEnvironment>
}

/** An environment that is ready, and why it is this one. */
export interface StandaloneEnvironment extends AsyncDisposable {
  readonly environment: RunnerEnvironment
  readonly asked: BackendName | 'auto'
  /** True when it is not what was asked for; with `auto`, never. */
  readonly fallback: boolean
  /** For people: what was chosen, and why nothing else. */
  readonly reason: string
}

/**
 * The environment for what is in a directory, ready to start processes: never nothing. What was asked for, if it works;
 * else processes of this machine, and the reason. `auto`: the directory's Nix shell where there is a flake and a nix that
 * works. Fails only when the signal aborts, or when the directory is not there.
 */
export async function openStandaloneEnvironment(
  runner: Runner,
  directory: string,
  asked: BackendName | 'auto' = 'auto',
  options: StandaloneOptions = {},
): Promise<StandaloneEnvironment> {
  const folder = resolve(directory)
  if (!(await exists(folder))) {
    throw new CoveError('path-invalid', `there is no directory ${folder}`, { directory: folder })
  }
  const attempt = await tryAsked(runner, folder, asked, options)
  if (typeof attempt !== 'string') return chosen(attempt, asked, false, attempt.description)
  if (options.signal?.aborted === true) throw new CoveError('cancelled', 'opening the environment was cancelled')
  const native = runner.native({ directory: folder })
  await native.init(options)
  return chosen(native, asked, asked !== 'native' && asked !== 'auto', `${native.description}: ${attempt}`)
}

/** The environment, or why there is none. */
async function tryAsked(
  runner: Runner,
  directory: string,
  asked: BackendName | 'auto',
  options: StandaloneOptions,
): Promise<RunnerEnvironment | string> {
  if (asked === 'native') return 'asked for'
  if (asked === 'docker') {
    const { docker } = options
    if (docker === undefined) return 'docker was asked for, and nothing says which image'
    return await tryOpen('docker', () => docker(directory), options)
  }
  if (!(await exists(join(directory, 'flake.nix')))) {
    return asked === 'nix' ? 'nix was asked for, and there is no flake.nix' : 'there is no flake.nix'
  }
  const nix = options.nix ?? ((folder) => runner.nix({ directory: folder }))
  return await tryOpen('nix', () => nix(directory), options)
}

async function tryOpen(
  name: string,
  open: () => Promise<RunnerEnvironment>,
  options: InitOptions,
): Promise<RunnerEnvironment | string> {
  let environment: RunnerEnvironment | undefined
  try {
    environment = await open()
    await environment.init(options)
    return environment
  } catch (error) {
    await environment?.shutdown().catch(() => {})
    if (options.signal?.aborted === true) throw CoveError.from(error, 'cancelled')
    return `${name} cannot be used: ${CoveError.from(error).message}`
  }
}

function chosen(
  environment: RunnerEnvironment,
  asked: BackendName | 'auto',
  fallback: boolean,
  reason: string,
): StandaloneEnvironment {
  return {
    environment,
    asked,
    fallback,
    reason,
    async [Symbol.asyncDispose]() {
      await environment.shutdown()
    },
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
