import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { readKeyFile } from '../key-file.ts'
import type { Run } from './registry.ts'

export function define(command: Command, { io }: Context, run: Run): void {
  command.action(() =>
    run(async () => {
      const { path } = await readKeyFile(io.env)
      io.stdout.write(`The API key is in ${path} (only you may read it).\n`)
      io.stdout.write('cove and the SDK use it by themselves; for others: export COVE_API_KEY=$(cove key show)\n')
      return STATUS.ok
    }),
  )
  command
    .command('show')
    .summary('print the key')
    .description('print the key')
    .action(() =>
      run(async () => {
        io.stdout.write(`${(await readKeyFile(io.env)).key}\n`)
        return STATUS.ok
      }),
    )
  command
    .command('path')
    .summary('print where it is kept')
    .description('print where the key is kept')
    .action(() =>
      run(async () => {
        io.stdout.write(`${(await readKeyFile(io.env)).path}\n`)
        return STATUS.ok
      }),
    )
}
