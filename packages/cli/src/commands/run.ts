import { CoveError, type Cove, type Sandbox, type SandboxRef, type StartOptions } from '@cove/sdk'
import type { Command } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import { session } from '../attach/session.ts'
import { hasInput } from '../attach/stdin.ts'
import { terminalEnvironment, terminalSize } from '../attach/terminal.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { addCommandOptions, addTimeoutOption, commandOptions, programArgv } from '../options/command-options.ts'
import { addCreateOptions } from '../options/create-options.ts'
import { makeSandbox } from '../project/make-sandbox.ts'
import { renderError, writeWarning } from '../render/error.ts'
import { warnOfNoWall } from '../render/no-wall.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove run python -c 'print(6*7)'
  cove run --limit-memory 512MiB --timeout 30s node script.js
  echo hello | cove run cat
  cove run -t shell

Everything behind the program's name belongs to the program. The sandbox is removed at the end, also after Ctrl-C.
The status is the command's own: 128 + n when signal n ended it, 124 when --timeout did, 127 when there is no such
program.
`

export function define(command: Command, context: Context, run: Run): void {
  addTimeoutOption(addCommandOptions(command))
    .option('-t, --terminal', 'with a terminal instead of pipes')
    .option('--no-stdin', 'do not pass stdin on')
  addCreateOptions(command)
    .argument('<program>', 'python, node, shell, or a program of the sandbox')
    .argument('[arguments...]', 'its arguments')
    .passThroughOptions()
    .addHelpText('after', EXAMPLES)
    .action((program: string, words: string[]) =>
      run(() => runOnce(command, context, programArgv([program, ...words]))),
    )
}

/** A sandbox for one command: made, used and removed, whatever happens in between. */
export async function runOnce(command: Command, { io, client }: Context, argv: readonly string[]): Promise<number> {
  const cove = await client()
  using interrupts = new Interrupts(io)
  const { terminal = false } = command.opts<{ terminal?: boolean }>()
  const making = makeSandbox(cove, command, io, { named: false, quiet: false, interrupts })
  const sandbox = await making.catch((thrown: unknown) => removeFailed(cove, thrown))
  if (sandbox === undefined) return interrupts.status ?? STATUS.failure
  try {
    warnOfNoWall(sandbox.info, io)
    if (interrupts.status !== undefined) return interrupts.status
    return await runIn(sandbox, argv, command, io, { terminal, interrupts })
  } finally {
    await remove(sandbox, io, interrupts)
  }
}

/** One that could not be made is kept with its reason, for whoever asks; here it has just been told. */
async function removeFailed(cove: Cove, thrown: unknown): Promise<never> {
  const failed = thrown instanceof CoveError ? thrown.context['sandbox'] : undefined
  if (typeof failed === 'string') await cove.sandboxes.delete(failed).catch(() => undefined)
  throw thrown
}

/** Runs a command in a sandbox with this program's stdin, stdout, stderr and signals. */
export async function runIn(
  sandbox: SandboxRef,
  argv: readonly string[],
  command: Command,
  io: Io,
  { terminal, interrupts }: { readonly terminal: boolean; readonly interrupts: Interrupts },
): Promise<number> {
  const options = commandOptions(command)
  const stdin = command.opts<{ stdin?: boolean }>().stdin !== false && hasInput(io)
  const shape: StartOptions = terminal
    ? { terminal: terminalSize(io), env: { ...terminalEnvironment(io), ...options.env } }
    : { stdin }
  try {
    await using process = await sandbox.start(argv, { ...options, ...shape, signal: interrupts.abandon })
    return await session(process, io, { stdin, terminal, interrupts, timeoutMs: options.timeoutMs })
  } catch (thrown) {
    if (interrupts.abandon.aborted) return interrupts.status ?? STATUS.failure
    if (!(thrown instanceof CoveError)) throw thrown
    const status = NOT_STARTED[thrown.code]
    if (status === undefined) throw thrown
    renderError(thrown, io)
    return status
  }
}

/** The statuses of a shell whose command could not be started. */
const NOT_STARTED: Readonly<Record<string, number>> = {
  'command-not-found': STATUS.notFound,
  'file-permission-denied': STATUS.notExecutable,
}

/** The command's status counts, so a removal that fails is only told. */
async function remove(sandbox: Sandbox, io: Io, interrupts: Interrupts): Promise<void> {
  try {
    await sandbox.delete({ signal: interrupts.abandon })
  } catch (thrown) {
    const error = CoveError.from(thrown)
    if (error.code === 'sandbox-not-found' || error.code === 'sandbox-gone') return
    writeWarning(io, `sandbox ${sandbox.id} was not removed: ${error.message}; remove it with: cove rm ${sandbox.id}`)
  }
}
