import { CoveError } from '@cove/domain'
import type { KernelInfo, Kernels } from '@cove/guest-system'
import type { Command } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { KERNEL_COLUMNS, shortKernelId } from '../kernel/kernel-columns.ts'
import { showKernelProgress } from '../kernel/kernel-progress.ts'
import { openSettingsKernels } from '../kernel/open-kernels.ts'
import { addListOptions, addOutputOption, outputChoice, outputFormat } from '../options/output-options.ts'
import { writeData } from '../render/data.ts'
import { writeList } from '../render/list.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove kernel build                        # small and quick to boot; takes minutes, once
  cove kernel fetch                        # the distribution's; seconds to get, slower to boot
  cove kernel ls                           # what is there, and which one is booted

A kernel that was built is preferred to one of the distribution, and a newer one to an older one.
`

/** Four digits are too few to be sure of, and nobody types fewer on purpose. */
const LEAST_DIGITS = 4

interface MakeOptions {
  readonly verbose?: boolean
  readonly quiet?: boolean
}

type Make = (
  kernels: Kernels,
  work: Parameters<Kernels['build']>[0] & { readonly log: (line: string) => void },
) => Promise<KernelInfo>

export function define(command: Command, { io }: Context, run: Run): void {
  command.addHelpText('after', EXAMPLES)
  const build = command.command('build').summary("build a kernel from the distribution's source")
  place(build).option('--verbose', 'show every line of the build')
  addMake(build).action(() => run(() => make(build, io, (kernels, work) => kernels.build(work))))
  const fetch = command.command('fetch').summary("take the distribution's kernel, without installing it")
  addMake(place(fetch)).action(() => run(() => make(fetch, io, (kernels, work) => kernels.fetch(work))))
  const list = place(command.command('ls').summary('list kernels'))
  addListOptions(list).action(() =>
    run(async () => {
      const kernels = await (await open(list, io)).list()
      await writeList(io, outputChoice(list), kernels, { columns: KERNEL_COLUMNS, id: ({ id }) => shortKernelId(id) })
      return STATUS.ok
    }),
  )
  const remove = place(command.command('rm').summary('remove kernels; virtual machines that run with them go on'))
  remove.argument('<kernels...>', 'ids, or their first digits').action((ids: string[]) =>
    run(async () => {
      const kernels = await open(remove, io)
      const known = (await kernels.list()).map(({ id }) => id)
      return forEachName(ids, io, (id) => kernels.remove(wholeId(known, id)))
    }),
  )
}

const place = (command: Command): Command =>
  command.option('--kernel-dir <directory>', 'where kernels are kept (default: what the settings say)')

const addMake = (command: Command): Command => addOutputOption(command).option('-q, --quiet', 'print the id only')

const open = (command: Command, io: Io): Promise<Kernels> =>
  openSettingsKernels(command.opts<{ kernelDir?: string }>().kernelDir, io)

async function make(command: Command, io: Io, work: Make): Promise<number> {
  const { verbose = false, quiet = false } = command.opts<MakeOptions>()
  using interrupts = new Interrupts(io)
  const kernels = await open(command, io)
  try {
    const info = await showing(io, { quiet: quiet || verbose, verbose }, (shown) =>
      work(kernels, { ...shown, signal: interrupts.first }),
    )
    const format = outputFormat(command)
    if (format === 'table') io.stdout.write(`${shortKernelId(info.id)}\n`)
    else await writeData(io, format, quiet ? info.id : info)
    return STATUS.ok
  } catch (thrown) {
    const { status } = interrupts
    if (status === undefined) throw thrown
    return status
  }
}

async function showing<T>(
  io: Io,
  { quiet, verbose }: { readonly quiet: boolean; readonly verbose: boolean },
  work: (shown: Omit<Parameters<Make>[1], 'signal'>) => Promise<T>,
): Promise<T> {
  using shown = showKernelProgress(io, quiet)
  return await work({ progress: shown.show, log: verbose ? shown.line : () => {} })
}

/** As the list shows it, or more of it. */
function wholeId(known: readonly string[], text: string): string {
  const found = known.filter((id) => id.startsWith(text))
  if (found.length > 1 && text.length >= LEAST_DIGITS) {
    throw new CoveError(
      'invalid-argument',
      `several kernels begin with ${text}`,
      {},
      { fix: 'Name more of its digits.' },
    )
  }
  return found.length === 1 && text.length >= LEAST_DIGITS ? (found[0] ?? text) : text
}
