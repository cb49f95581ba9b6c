import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addOutputOption, outputFormat } from '../options/output-options.ts'
import { writeData } from '../render/data.ts'
import { VERSION, VERSION_LINE } from '../version.ts'
import type { Run } from './registry.ts'

export function define(command: Command, { io }: Context, run: Run): void {
  addOutputOption(command).action(() =>
    run(async () => {
      const format = outputFormat(command)
      const version = { cove: VERSION, node: process.versions.node, platform: `${process.platform}-${process.arch}` }
      if (format !== 'table') await writeData(io, format, version)
      else io.stdout.write(`${VERSION_LINE}\n`)
      return STATUS.ok
    }),
  )
}
