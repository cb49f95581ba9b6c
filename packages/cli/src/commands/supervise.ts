import type { Command } from 'commander'
import type { Context } from '../context.ts'
import type { Run } from './registry.ts'

/** Not for people: the program beside a process of `cove proc`. */
export function define(command: Command, { io }: Context, run: Run): void {
  command
    .argument('<folder>')
    .argument('<state>')
    .argument('<installation>')
    .argument('<guest>')
    .action((folder: string, stateFolder: string, installation: string, guestProgram: string) =>
      run(async () => {
        const { supervise } = await import('../proc/supervise.ts')
        return supervise({ folder, stateFolder, installation, guestProgram }, io)
      }),
    )
}
