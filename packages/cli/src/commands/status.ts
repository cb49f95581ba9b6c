import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { addOutputOption, outputChoice } from '../options/output-options.ts'
import { addSettingOptions, configArgs } from '../options/setting-options.ts'
import type { Run } from './registry.ts'

export function define(command: Command, { io }: Context, run: Run): void {
  addOutputOption(command)
  addSettingOptions(command).action(() =>
    run(async () => {
      const { status } = await import('../daemon/status.ts')
      return status({ ...configArgs(command), output: outputChoice(command) }, io)
    }),
  )
}
