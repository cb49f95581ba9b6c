import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { define as defineList } from './proc-ls.ts'
import { define as defineLogs } from './proc-logs.ts'
import { define as defineEnds } from './proc-ends.ts'
import { define as defineRun } from './proc-run.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove proc run --ready 8000 -- python3 -m http.server 8000
  cove proc run --name worker --restart on-failure:5 -- ./worker.sh
  cove proc run --image postgres:16 -p 5432:5432 --ready 5432 -- postgres
  cove proc ls
  cove proc logs -f worker
  cove proc stop worker

These processes run on this machine, in a container or in a Nix shell, without a sandbox around them. They go on when
the shell that started them is gone, and without a daemon.
`

export function define(command: Command, context: Context, run: Run): void {
  command.addHelpText('after', EXAMPLES)
  defineRun(command.command('run').summary('start a process that outlives this shell'), context, run)
  defineList(command, context, run)
  defineLogs(command.command('logs').summary('show what a process has said'), context, run)
  defineEnds(command, context, run)
}
