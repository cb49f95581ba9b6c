import type { Cove, CreateOptions, Sandbox } from '@cove/sdk'
import type { Command } from 'commander'
import type { Interrupts } from '../attach/interrupts.ts'
import type { Io } from '../io.ts'
import { createOptions } from '../options/create-options.ts'
import { findProject } from './find-project.ts'

interface Manner {
  /** It is kept and takes the project's name. */
  readonly named: boolean
  readonly quiet: boolean
  readonly interrupts: Interrupts
  /** Besides what all commands that create have as options. */
  readonly more?: CreateOptions
}

/**
 * A sandbox as the options say, and for what they do not say the nearest `cove.yaml`. Undefined when the user has ended
 * it before it was ready; then there is none.
 */
export async function makeSandbox(cove: Cove, command: Command, io: Io, manner: Manner): Promise<Sandbox | undefined> {
  try {
    return await make(cove, command, io, manner)
  } catch (thrown) {
    if (manner.interrupts.status !== undefined) return undefined
    throw thrown
  }
}

async function make(cove: Cove, command: Command, io: Io, manner: Manner): Promise<Sandbox> {
  const { named, quiet, interrupts, more = {} } = manner
  const { abandon, first } = interrupts
  const flags = { ...createOptions(command), ...more }
  const wanted = command.opts<{ projectFile?: boolean }>().projectFile !== false
  const found = wanted ? await findProject(io) : undefined
  if (found === undefined) {
    const { options, signal } = interruptible(flags, { abandon, first })
    return cove.sandboxes.create(options, { signal })
  }
  const { createFromProject, projectOptions } = await import('./create-from-project.ts')
  const { options, signal } = interruptible(projectOptions(found, flags, named), { abandon, first })
  return createFromProject(cove, found, options, io, { quiet, creating: signal, first })
}

/**
 * A create can take as long as an image takes to arrive. Where nobody could find the sandbox again, by a name or a key,
 * the server ends its making and removes it as soon as the caller has gone: then the first Ctrl-C is enough.
 */
function interruptible(options: CreateOptions, { abandon, first }: Pick<Interrupts, 'abandon' | 'first'>) {
  if (options.name !== undefined || options.idempotencyKey !== undefined) return { options, signal: abandon }
  return { options: { ...options, idempotencyKey: '' }, signal: first }
}
