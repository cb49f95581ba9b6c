import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addOutputOption, outputFormat } from '../options/output-options.ts'
import { writeJson } from '../render/json.ts'
import { VERSION } from '../version.ts'
import type { Run } from './registry.ts'

export function define(command: Command, { io }: Context, run: Run): void {
  addOutputOption(command).action(() =>
    run(async () => {
      const version = { cove: VERSION, node: process.versions.node, platform: `${process.platform}-${process.arch}` }
      if (outputFormat(command) === 'json') writeJson(io, version)
      else io.stdout.write(`cove ${version.cove} (node ${version.node}, ${version.platform})\n`)
      return STATUS.ok
    }),
  )
}
