import type { Command } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import type { Context } from '../context.ts'
import { addCommandOptions } from '../options/command-options.ts'
import { addCreateOptions } from '../options/create-options.ts'
import type { Run } from './registry.ts'
import { runIn, runOnce } from './run.ts'

/** The sandbox's own bash where it has one. */
const LOGIN_SHELL = ['/bin/sh', '-c', 'if [ -x /bin/bash ]; then exec /bin/bash -l; else exec /bin/sh -l; fi']

export function define(command: Command, context: Context, run: Run): void {
  addCommandOptions(command)
  addCreateOptions(command)
    .argument('[sandbox]', 'id or name; without one, a new sandbox that is removed at the end')
    .action((id: string | undefined) => run(() => shell(command, context, id)))
}

async function shell(command: Command, context: Context, id: string | undefined): Promise<number> {
  if (id === undefined) return runOnce(command.setOptionValue('terminal', true), context, LOGIN_SHELL)
  const cove = await context.client()
  using interrupts = new Interrupts(context.io)
  return runIn(cove.sandboxes.at(id), LOGIN_SHELL, command, context.io, { terminal: true, interrupts })
}
