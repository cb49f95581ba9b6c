import { CoveError, describeExit, newProcessId, type Clock, type Guest, type Random, type Sandbox } from '@cove/domain'
import { runProcess } from './run-process.ts'

/** Where a sandbox keeps what belongs to the runtimes; found out once per incarnation. */
export interface Ground {
  /** Absolute: code that runs is in `run`, packages are in `python` and `node`. */
  readonly folder: string
  /** The PATH of the sandbox. */
  readonly path: string
  /** Where processes start that name no folder. */
  readonly home: string
  /** Whether node tells ES modules by itself; undefined until somebody asked. */
  nodeFindsModules?: boolean
}

const FOLDER = '.cove'
/** Where no home can be written; such a folder may be gone after a stop. */
const ELSEWHERE = `/tmp/${FOLDER}`
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const PROBE_MS = 10_000
const PROBE_BYTES = 64 * 1024
const REMEMBERED = 1_024

/**
 * Makes the folder and says where it is. What a daemon that died left behind there goes after a day. `run` finds the
 * packages of node beside itself: imports of ES modules are looked for in no other way than upwards from the file. And
 * it has a manifest of its own, so that one in the home decides nothing about the code.
 */
const PROBE = `
umask 077
path=$PATH
PATH=$PATH:/usr/bin:/bin
case $HOME in /*) folder=$HOME/${FOLDER} ;; *) folder=${ELSEWHERE} ;; esac
mkdir -p "$folder/run" 2>/dev/null && [ -w "$folder/run" ] || { folder=${ELSEWHERE}; mkdir -p "$folder/run" || exit; }
find "$folder/run" -maxdepth 1 -type f -mmin +1440 -exec rm -f {} + 2>/dev/null
[ -L "$folder/run/node_modules" ] || ln -s ../node/node_modules "$folder/run/node_modules"
[ -e "$folder/run/package.json" ] || echo '{}' >"$folder/run/package.json"
printf '%s\\0%s\\0%s\\0' "$folder" "$path" "$(pwd)"`

/** What has been found out about sandboxes, the latest used ones. */
export class Grounds {
  readonly #random: Random
  readonly #clock: Clock
  readonly #known = new Map<string, Ground>()

  constructor(random: Random, clock: Clock) {
    this.#random = random
    this.#clock = clock
  }

  async of(guest: Guest, { spec, status }: Sandbox, signal: AbortSignal): Promise<Ground> {
    const key = keyOf(spec.id, status.incarnation)
    const ground = this.#known.get(key) ?? (await this.#probe(guest, signal))
    this.#known.delete(key)
    this.#known.set(key, ground)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= REMEMBERED) break
      this.#known.delete(oldest)
    }
    return ground
  }

  /** The sandbox is asked again: what was found out does not hold any more. */
  forget({ spec, status }: Sandbox): void {
    this.#known.delete(keyOf(spec.id, status.incarnation))
  }

  async #probe(guest: Guest, signal: AbortSignal): Promise<Ground> {
    const request = {
      id: newProcessId(this.#random),
      argv: ['/bin/sh', '-c', PROBE],
      env: {},
      timeoutMs: PROBE_MS,
    }
    const keep = { clock: this.#clock, maxOutputBytes: PROBE_BYTES }
    const result = await runProcess(guest, [request], keep, signal).catch((error: unknown) => {
      if (CoveError.from(error).code !== 'command-not-found') throw error
    })
    // An image without a shell: files can be written there all the same.
    if (result === undefined) return { folder: ELSEWHERE, path: PATH, home: '/' }
    const { stdout, stderr, exit, timedOut } = result
    if (timedOut) throw new CoveError('deadline-exceeded', 'the sandbox did not answer in time: it is busy')
    const [folder, path, home] = Buffer.from(stdout.bytes).toString('utf8').split('\0')
    if (folder !== undefined && path !== undefined && home !== undefined) return { folder, path, home }
    const last = Buffer.from(stderr.bytes).toString('utf8').trimEnd().split('\n').at(-1) ?? ''
    const why = last === '' ? describeExit(exit) : last.slice(0, 200)
    throw new CoveError(
      'io-error',
      `there is no place for code in the sandbox: ${why}`,
      {},
      { fix: 'Make room in the home folder of the sandbox, or in its /tmp.' },
    )
  }
}

const keyOf = (id: string, incarnation: number): string => `${id} ${incarnation}`
