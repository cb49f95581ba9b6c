import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { addSettingOptions, configArgs } from '../options/setting-options.ts'
import type { Run } from './registry.ts'

export function define(command: Command, { io }: Context, run: Run): void {
  command.option('--all', 'delete every sandbox first')
  addSettingOptions(command).action(() =>
    run(async () => {
      const { down } = await import('../daemon/down.ts')
      return down({ ...configArgs(command), all: command.opts<{ all?: boolean }>().all ?? false }, io)
    }),
  )
}
