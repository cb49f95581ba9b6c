import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import { Sink } from '../attach/sink.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addProcPlace, openProcs } from '../options/proc-options.ts'
import type { LogLine } from '../proc/log-line.ts'
import { isLive } from '../proc/proc-info.ts'
import { readLog } from '../proc/read-log.ts'
import { writeWarning } from '../render/error.ts'
import type { Run } from './registry.ts'

const NOTE = `
Lines of stdout come on stdout, lines of stderr on stderr, and on stderr too what Cove did, behind "--". The newest part
is kept, as much as \`--log-size\` of \`cove proc run\` said, over all restarts.
`

interface Parsed {
  readonly follow?: boolean
  readonly tail?: number
  readonly timestamps?: boolean
  readonly json?: boolean
}

export function define(command: Command, { io }: Context, run: Run): void {
  addProcPlace(command)
    .argument('<proc>', 'name of a supervised process')
    .option('-f, --follow', 'go on until it has ended for good')
    .option('-n, --tail <lines>', 'begin with the last lines only', lines)
    .option('-t, --timestamps', 'with the time before each line, and where it was said')
    .option('--json', 'a JSON object for each line')
    .addHelpText('after', NOTE)
    .action((name: string) =>
      run(async () => {
        const { follow = false, tail, timestamps = false, json = false } = command.opts<Parsed>()
        await using procs = await openProcs(command, io)
        await procs.get(name)
        using interrupts = new Interrupts(io)
        using stdout = new Sink(io.stdout)
        using stderr = new Sink(io.stderr)
        const over = async (): Promise<boolean> => {
          const info = await procs.find(name)
          return info === undefined || !isLive(info)
        }
        const { first: signal } = interrupts
        for await (const line of readLog(procs.folder(name), { tail, signal, ...(follow ? { over } : {}) })) {
          if (line === 'gap') writeWarning(io, 'lines were thrown away before they could be shown')
          else if (json) await stdout.write(`${JSON.stringify(line)}\n`)
          else await (line.stream === 'stdout' ? stdout : stderr).write(shown(line, timestamps))
        }
        return interrupts.status ?? STATUS.ok
      }),
    )
}

function shown({ time, stream, text, continued }: LogLine, timestamps: boolean): string {
  const before = timestamps ? `${time.toISOString()} ${stream.padEnd(6)} ` : ''
  return `${before}${stream === 'cove' ? '-- ' : ''}${text}${continued && !timestamps ? '' : '\n'}`
}

function lines(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number.')
}
