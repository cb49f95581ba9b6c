import { CoveError, type Process, type ProcessInfo, type SandboxRef } from '@cove/sdk'
import type { Command } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import { Sink } from '../attach/sink.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { writeWarning } from '../render/error.ts'
import { commandText } from '../render/text.ts'
import type { Run } from './registry.ts'
import type { Io } from '../io.ts'

const NOTE = `
A sandbox keeps the newest 256 KiB of output of each process, and processes that have ended for ten minutes.
`

export function define(command: Command, context: Context, run: Run): void {
  command
    .argument('<sandbox>', 'id or name')
    .argument('[process]', 'id of a process (default: the one that was started last)')
    .option('-f, --follow', 'go on until the process ends')
    .addHelpText('after', NOTE)
    .action((id: string, process: string | undefined) => run(() => logs(command, context, id, process)))
}

async function logs(command: Command, { io, client }: Context, id: string, chosen: string | undefined) {
  const cove = await client()
  const { follow = false } = command.opts<{ follow?: boolean }>()
  using interrupts = new Interrupts(io)
  const sandbox = cove.sandboxes.at(id)
  const processId = chosen ?? (await newest(sandbox, io))
  try {
    await using process = await sandbox.processes.attach(processId, { from: 0, signal: interrupts.first })
    await show(process, io, follow)
  } catch (thrown) {
    if (!interrupts.first.aborted) throw thrown
  }
  return interrupts.status ?? STATUS.ok
}

async function newest(sandbox: SandboxRef, io: Io): Promise<string> {
  const processes = await sandbox.processes.list()
  const [last] = processes.toSorted((a, b) => b.startedAt.getTime() - a.startedAt.getTime())
  if (last === undefined) {
    throw new CoveError('process-not-found', `no process has been started in ${sandbox.id}`)
  }
  if (processes.length > 1) note(last, processes.length, io)
  return last.id
}

function note(process: ProcessInfo, count: number, io: Io): void {
  if (io.stderr.isTTY !== true) return
  io.stderr.write(`${process.id}, the newest of ${count}: ${commandText(process.argv)}\n`)
}

/** Up to what there was at the start, or to the end. */
async function show(process: Process, io: Io, follow: boolean): Promise<void> {
  using stdout = new Sink(io.stdout)
  using stderr = new Sink(io.stderr)
  const until = follow ? Number.POSITIVE_INFINITY : process.info.outputTo
  if (until === 0) return
  for await (const event of process.events()) {
    if (event.type === 'gap') {
      writeWarning(io, `${event.to - event.from} older bytes are not kept any more`)
      if (event.to >= until) return
    }
    if (event.type !== 'output') continue
    const data = event.data.subarray(0, until - event.offset)
    await (event.stream === 'stderr' ? stderr : stdout).write(data)
    if (event.offset + event.data.byteLength >= until) return
  }
}
