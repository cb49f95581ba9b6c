import type { Command } from 'commander'
import type { Context } from '../context.ts'
import type { Run } from './registry.ts'

interface Parsed {
  readonly yes?: boolean
  /** Commander's name for `--no-install`. */
  readonly install?: boolean
}

export function define(command: Command, { io }: Context, run: Run): void {
  command
    .option('-y, --yes', 'install what is missing without asking')
    .option('--no-install', 'install nothing')
    .action(() =>
      run(async () => {
        const { yes = false, install = true } = command.opts<Parsed>()
        const { setup } = await import('../setup/setup.ts')
        return setup({ install: install ? (yes ? 'yes' : 'ask') : 'no' }, io)
      }),
    )
}
