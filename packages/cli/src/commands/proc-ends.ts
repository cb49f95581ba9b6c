import type { Command } from 'commander'
import { CoveError } from '@cove/domain'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { Interrupts } from '../attach/interrupts.ts'
import { duration } from '../options/parse.ts'
import { addProcPlace, openProcs } from '../options/proc-options.ts'
import { settle } from '../proc/settle.ts'
import type { Procs } from '../proc/procs.ts'
import { UsageError } from '../usage-error.ts'
import type { Run } from './registry.ts'

interface Parsed {
  readonly all?: boolean
  readonly force?: boolean
  readonly grace?: number
}

/** `stop`, `restart` and `rm`. */
export function define(command: Command, { io }: Context, run: Run): void {
  const stop = several(command.command('stop').summary('end processes; their logs are kept'))
  stop
    .option('-a, --all', 'all of them')
    .option('--grace <time>', 'from TERM to KILL (default: that of `cove proc run`)', duration)
    .action((names: string[]) =>
      run(async () => {
        await using procs = await openProcs(stop, io)
        const { all = false, grace } = stop.opts<Parsed>()
        return forEachName(await chosen(procs, names, all), io, (name) => procs.stop(name, grace))
      }),
    )
  const restart = several(command.command('restart').summary('end processes, if they run, and start them anew'))
  restart.action((names: string[]) =>
    run(async () => {
      await using procs = await openProcs(restart, io)
      using interrupts = new Interrupts(io)
      return forEachName(await chosen(procs, names, false), io, async (name) => {
        const runs = await procs.restart(name)
        const settled = await settle(procs, name, { runs, signal: interrupts.first })
        if (settled.kind === 'failed') throw settled.error
        if (settled.kind === 'left') throw new CoveError('cancelled', `${name} is still starting`)
      })
    }),
  )
  const remove = several(command.command('rm').summary('forget processes that have ended, and their logs'))
  remove
    .option('-a, --all', 'all of them')
    .option('-f, --force', 'end those that run first')
    .action((names: string[]) =>
      run(async () => {
        await using procs = await openProcs(remove, io)
        const { all = false, force = false } = remove.opts<Parsed>()
        return forEachName(await chosen(procs, names, all), io, async (name) => {
          if (force) await procs.stopAnyway(name)
          await procs.remove(name)
        })
      }),
    )
}

function several(command: Command): Command {
  return addProcPlace(command.argument('[procs...]', 'names of supervised processes'))
}

async function chosen(procs: Procs, names: readonly string[], all: boolean): Promise<readonly string[]> {
  if (all) return procs.names()
  if (names.length > 0) return [...new Set(names)]
  throw new UsageError('no process is named', 'Name one; `cove proc ls` lists them.')
}
