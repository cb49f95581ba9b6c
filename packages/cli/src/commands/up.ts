import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { addSettingOptions, configArgs } from '../options/setting-options.ts'
import type { Run } from './registry.ts'

interface Parsed {
  readonly detach?: boolean
  readonly yes?: boolean
  /** Commander's name for `--no-install`. */
  readonly install?: boolean
}

export function define(command: Command, { io }: Context, run: Run): void {
  command
    .option('-d, --detach', 'start in the background and return when it is ready')
    .option('-y, --yes', 'install what is missing without asking')
    .option('--no-install', 'install nothing')
  addSettingOptions(command).action(() =>
    run(async () => {
      const { detach = false, yes = false, install = true } = command.opts<Parsed>()
      const { up } = await import('../daemon/up.ts')
      const policy = install ? (yes ? 'yes' : 'ask') : 'no'
      return up({ ...configArgs(command), detach, install: policy }, io)
    }),
  )
}
