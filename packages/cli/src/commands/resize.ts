import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addOutputOption, outputFormat } from '../options/output-options.ts'
import { amount, bytes, count } from '../options/parse.ts'
import { writeData } from '../render/data.ts'
import { limitLines } from '../render/sandbox.ts'
import { UsageError } from '../usage-error.ts'
import type { Run } from './registry.ts'

interface Parsed {
  readonly memory?: number
  readonly cpus?: number
  readonly processes?: number
}

export function define(command: Command, { io, client }: Context, run: Run): void {
  command
    .argument('<sandbox>', 'id or name of a running one')
    .option('--memory <size>', 'memory, such as 512MiB', bytes)
    .option('--cpus <number>', 'processors, such as 0.5', amount)
    .option('--processes <count>', 'processes and threads together', count)
  addOutputOption(command).action((id: string) =>
    run(async () => {
      const { memory, cpus, processes } = command.opts<Parsed>()
      if (memory === undefined && cpus === undefined && processes === undefined) {
        throw new UsageError('no limit is named', 'Name one of --memory, --cpus and --processes.')
      }
      const cove = await client()
      const info = await cove.sandboxes.updateLimits(id, {
        ...(memory === undefined ? {} : { memoryBytes: memory }),
        ...(cpus === undefined ? {} : { cpus }),
        ...(processes === undefined ? {} : { processes }),
      })
      const format = outputFormat(command)
      if (format === 'table') io.stdout.write(limitLines(info.limits))
      else await writeData(io, format, info.limits)
      return STATUS.ok
    }),
  )
}
