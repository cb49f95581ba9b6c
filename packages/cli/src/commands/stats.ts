import { formatBytes, formatDuration } from '@cove/domain'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addOutputOption, outputFormat } from '../options/output-options.ts'
import { writeData } from '../render/data.ts'
import { detailsText } from '../render/details.ts'
import type { Run } from './registry.ts'

export function define(command: Command, { io, client }: Context, run: Run): void {
  command.argument('<sandbox>', 'id or name')
  addOutputOption(command).action((id: string) =>
    run(async () => {
      const stats = await (await client()).sandboxes.stats(id)
      const format = outputFormat(command)
      if (format !== 'table') {
        await writeData(io, format, stats)
        return STATUS.ok
      }
      const { memoryBytes, cpuMs, processes, diskBytes } = stats
      const unknown = 'cannot be measured here'
      io.stdout.write(
        detailsText([
          ['memory', memoryBytes === undefined ? unknown : formatBytes(memoryBytes)],
          ['processors', cpuMs === undefined ? unknown : formatDuration(Math.round(cpuMs))],
          ['processes', processes === undefined ? unknown : String(processes)],
          ['disk', diskBytes === undefined ? unknown : formatBytes(diskBytes)],
        ]),
      )
      return STATUS.ok
    }),
  )
}
