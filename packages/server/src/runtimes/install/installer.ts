import { CoveError, describeExit, newProcessId, type Clock, type Guest, type StartProcess } from '@cove/domain'
import { OutputKeeper } from '../../output-keeper.ts'
import type { GuestLease } from '../../sandboxes/sandboxes.ts'
import type { Ground } from '../ground.ts'
import type { Kit } from '../kit.ts'
import { withPackages } from '../languages.ts'
import { runProcess } from '../run-process.ts'
import type { CodeResult, InstallPackages, KeptOutput } from '../runtimes.ts'
import { explainOffline } from './offline.ts'
import { planNode } from './node.ts'
import { planPython } from './python.ts'
import { planShell } from './shell.ts'
import { Turns } from './turns.ts'

/** The command that installs, after everything that it needs has been made. */
export interface InstallPlan {
  readonly argv: readonly string[]
  readonly cwd?: string
  readonly user?: string
  readonly env?: Readonly<Record<string, string>>
}

/** What a plan is made with: one short script in the sandbox. */
export interface Site {
  readonly lease: GuestLease
  readonly ground: Ground
  /** Configured interpreter of the runtime. */
  readonly interpreter: string | undefined
  /** Runs a shell script within the time of the installation; it has to end well. */
  script(text: string, args: readonly string[], user?: string): Promise<Said>
}

/** What a script printed. */
export interface Said {
  /** Without the line break at the end. */
  readonly stdout: string
  /** The last line of its complaints; empty when it had none. */
  readonly complaint: string
}

const SCRIPT_BYTES = 16 * 1024
const SAID_BYTES = 64 * 1024

export class Installer {
  readonly #kit: Kit
  readonly #turns = new Turns()

  constructor(kit: Kit) {
    this.#kit = kit
  }

  /** Installations into one sandbox wait for each other; the waiting counts into the time that one may take. */
  async install(lease: GuestLease, request: InstallPackages, signal: AbortSignal): Promise<CodeResult> {
    if (request.packages.length === 0) return NOTHING
    const { clock } = this.#kit
    const until = clock.monotonic() + request.timeoutMs
    const { id } = lease.sandbox.spec
    const patience = AbortSignal.any([signal, AbortSignal.timeout(request.timeoutMs)])
    let begun = false
    try {
      return await this.#turns.take(id, patience, () => {
        begun = true
        return this.#installNow(lease, request, until, signal)
      })
    } catch (error) {
      if (begun || signal.aborted) throw error
      throw new CoveError(
        'deadline-exceeded',
        `the installation into sandbox ${id} did not begin in time: another one is still running there`,
        { sandbox: id },
      )
    }
  }

  async #installNow(
    lease: GuestLease,
    request: InstallPackages,
    until: number,
    signal: AbortSignal,
  ): Promise<CodeResult> {
    const { guest, sandbox } = lease
    const { runtime, packages, maxOutputBytes, onOutput } = request
    const { clock, commands, grounds, random } = this.#kit
    const left = (): number => Math.max(1, Math.ceil(until - clock.monotonic()))
    const ground = await grounds.of(guest, sandbox, signal)
    const process = (plan: InstallPlan): StartProcess => ({
      id: newProcessId(random),
      timeoutMs: left(),
      argv: plan.argv,
      // Root starts nothing that the sandbox's user may have put into the way.
      env: { ...plan.env, PATH: plan.user === 'root' ? ground.path : withPackages(ground, ground.path) },
      ...(plan.cwd === undefined ? {} : { cwd: plan.cwd }),
      ...(plan.user === undefined ? {} : { user: plan.user }),
    })
    const site: Site = {
      lease,
      ground,
      interpreter: commands[runtime]?.run,
      script: async (text, args, user) => {
        const argv = ['/bin/sh', '-c', text, 'cove', ...args]
        const plan = { argv, ...(user === undefined ? {} : { user }) }
        return runScript(guest, process(plan), clock, signal)
      },
    }
    const configured = commands[runtime]?.install
    const plan =
      configured === undefined ? await PLANS[runtime](site, packages) : { argv: [...configured, ...packages] }
    // What is kept for the caller may be too little to read the reason of a failure from.
    const said = new OutputKeeper(SAID_BYTES)
    const options = {
      clock,
      maxOutputBytes,
      onOutput: (stream: 'stdout' | 'stderr', data: Uint8Array): void => {
        said.push(data)
        onOutput?.(stream, data)
      },
    }
    const result = await runProcess(guest, [process(plan)], options, signal)
    explainOffline(sandbox, result.exit, Buffer.from(said.bytes()).toString('utf8'))
    return result
  }
}

const PLANS = { python: planPython, node: planNode, shell: planShell }

const NOTHING: CodeResult = {
  stdout: { bytes: new Uint8Array(0), omitted: 0 },
  stderr: { bytes: new Uint8Array(0), omitted: 0 },
  exit: { kind: 'exited', code: 0 },
  timedOut: false,
  durationMs: 0,
}

async function runScript(guest: Guest, process: StartProcess, clock: Clock, signal: AbortSignal): Promise<Said> {
  const options = { clock, maxOutputBytes: SCRIPT_BYTES }
  const { stdout, stderr, exit, timedOut } = await runProcess(guest, [process], options, signal)
  const complaint = textOf(stderr).split('\n').at(-1)?.slice(0, 200) ?? ''
  if (exit.kind === 'exited' && exit.code === 0) return { stdout: textOf(stdout), complaint }
  if (timedOut) throw new CoveError('deadline-exceeded', 'the installation could not be prepared in time')
  const why = complaint === '' ? describeExit(exit) : complaint
  throw new CoveError('io-error', `the installation could not be prepared: ${why}`)
}

const textOf = ({ bytes }: KeptOutput): string => Buffer.from(bytes).toString('utf8').trimEnd()
