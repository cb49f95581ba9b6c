import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { addOutputOption, outputChoice } from '../options/output-options.ts'
import { addSettingOptions, configArgs } from '../options/setting-options.ts'
import type { Run } from './registry.ts'

export function define(command: Command, { io }: Context, run: Run): void {
  const view = command
    .command('view')
    .summary('show each value and where it comes from')
    .description('show each value and where it comes from')
  addOutputOption(view).option('--no-headers', 'leave the head of the table out')
  addSettingOptions(view).action(() =>
    run(async () => {
      const { configView } = await import('../config/view.ts')
      return configView({ ...configArgs(view), output: outputChoice(view) }, io)
    }),
  )
}
