import { setTimeout as delay } from 'node:timers/promises'
import { CoveError, type ErrorCode } from '@cove/domain'
import type { Attached, DockerEngine, ExecSpec, ExecState } from '@cove/docker-engine'

const FIRST_LOOK_MS = 2
const LONGEST_LOOK_MS = 20
const STARTS_WITHIN_MS = 60_000
/** Whoever gives up waits so long for it to begin, so that it can be ended. */
const SETTLES_WITHIN_MS = 10_000
const MESSAGE_BYTES = 16 * 1024

/**
 * Until it runs or has ended. The engine takes the connection over before it starts anything, and then can only say in
 * its output that there is nothing to start.
 */
export async function untilExecRuns(
  engine: DockerEngine,
  exec: string,
  attached: Attached,
  { argv }: ExecSpec,
  signal: AbortSignal,
): Promise<ExecState> {
  const begun = performance.now()
  let abortedAt: number | undefined
  for (
    let wait = FIRST_LOOK_MS;
    performance.now() - begun < STARTS_WITHIN_MS;
    wait = Math.min(wait * 2, LONGEST_LOOK_MS)
  ) {
    if (signal.aborted) abortedAt ??= performance.now()
    if (abortedAt !== undefined && performance.now() - abortedAt > SETTLES_WITHIN_MS) break
    const state = await engine.inspectExec(exec)
    if (state.pid > 0) return state
    if (!state.running && state.exitCode !== undefined) throw refusal(await messageOf(attached), argv[0] ?? '')
    await delay(wait)
  }
  throw new CoveError('deadline-exceeded', `the Docker Engine did not start ${argv[0]} in time`)
}

async function messageOf(attached: Attached): Promise<string> {
  let text = ''
  try {
    for await (const { data } of attached.output) {
      text += data.toString('utf8')
      if (text.length > MESSAGE_BYTES) break
    }
  } catch {
    // What has come until then has to do.
  }
  return text.trim()
}

/** What the engine's sentence means. */
export function refusal(text: string, program: string): CoveError {
  const message = text.replace(/^OCI runtime exec failed: exec failed: /, '').replace(/: unknown$/, '')
  return new CoveError(codeOf(text), message === '' ? `${program} could not be started` : `Docker: ${message}`, {
    program,
  })
}

function codeOf(text: string): ErrorCode {
  if (/chdir to cwd|mkdir .*not a directory/.test(text)) return 'path-invalid'
  if (/unable to find (?:user|group)/.test(text)) return 'user-not-found'
  if (/executable file not found|no such file or directory/.test(text)) return 'command-not-found'
  if (/permission denied/.test(text)) return 'permission-denied'
  return /is not running|is paused/.test(text) ? 'wrong-state' : 'driver-failed'
}
