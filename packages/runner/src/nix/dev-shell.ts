import { CoveError, describeExit, type Random } from '@cove/domain'
import { parseDevEnv } from './dev-env.ts'
import { flakeFingerprint } from './flake-fingerprint.ts'
import type { RunTool } from './run-tool.ts'
import { ShellCache } from './shell-cache.ts'

export interface DevShellOptions {
  /** Absolute; has the flake. */
  readonly directory: string
  readonly cacheFolder: string
  /** Path of nix. */
  readonly nix: string
  readonly run: RunTool
  readonly random: Random
  readonly signal?: AbortSignal | undefined
  readonly progress: (step: string) => void
}

/** How processes get into the shell. */
export type DevShell =
  /** Its variables are known: processes start at once, and nix is not needed any more. */
  | { readonly kind: 'materialized'; readonly env: Readonly<Record<string, string>>; readonly from: 'cache' | 'nix' }
  /** Each process is started by `nix develop`, for the reason that is said. */
  | { readonly kind: 'wrapped'; readonly prefix: readonly string[]; readonly reason: string }

/** What nix needs told, whatever its own configuration says: both features have been experimental for years. */
const FEATURES = ['--extra-experimental-features', 'nix-command flakes']

/**
 * Builds the shell once and keeps what came out, by the fingerprint of the flake. When that cannot be done processes are
 * wrapped in `nix develop`, which may still work, and the reason is kept. `config-invalid` without a flake.
 */
export async function openDevShell(options: DevShellOptions): Promise<DevShell> {
  const { directory, nix, run, signal, progress } = options
  const fingerprint = await flakeFingerprint(directory, `${process.arch}-${process.platform}`)
  const cache = new ShellCache(options.cacheFolder, options.random)
  const known = await cache.load(fingerprint)
  if (known !== undefined) return { kind: 'materialized', env: known, from: 'cache' }
  // As a path: a flake of a repository would leave out whatever is not committed.
  const flake = `path:${directory}`
  try {
    progress('building the shell')
    const last: string[] = []
    const { stdout, exit } = await run(
      [nix, ...FEATURES, 'print-dev-env', '--json', flake],
      {
        directory,
        onErrorLine: (line) => {
          last.push(line)
          if (last.length > 20) last.shift()
          progress(line)
        },
      },
      signal,
    )
    if (exit.kind !== 'exited' || exit.code !== 0) {
      throw new CoveError('driver-failed', `nix ${describeExit(exit)}: ${last.slice(-3).join(' ').slice(0, 500)}`)
    }
    const env = parseDevEnv(stdout)
    // A cache that cannot be written costs the next start time, and nothing else.
    await cache
      .save(fingerprint, env)
      .catch((error: unknown) => progress(`not cached: ${CoveError.from(error).message}`))
    return { kind: 'materialized', env, from: 'nix' }
  } catch (error) {
    if (signal?.aborted === true) throw CoveError.from(signal.reason, 'cancelled')
    const { message } = CoveError.from(error)
    return { kind: 'wrapped', prefix: [nix, ...FEATURES, 'develop', flake, '--command'], reason: message }
  }
}
