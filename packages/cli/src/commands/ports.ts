import type { PortInfo } from '@cove/sdk'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addListOptions, addOutputOption, outputChoice, outputFormat } from '../options/output-options.ts'
import { duration, port } from '../options/parse.ts'
import { writeData } from '../render/data.ts'
import { writeList } from '../render/list.ts'
import type { Column } from '../render/table.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove ports ls web                     # what listens, and its addresses
  cove ports url web 8000               # an address for a browser, good for one use
  cove ports share web 8000 --public    # open to whoever knows the address
  cove forward web 8000                 # at a port of this machine instead
`

const COLUMNS: readonly Column<PortInfo>[] = [
  { title: 'PORT', minWidth: 5, cell: (row) => String(row.port) },
  { title: 'LISTENING', cell: ({ listening, addresses }) => (listening ? addresses.join(', ') || 'yes' : '-') },
  { title: 'ACCESS', minWidth: 7, cell: (row) => (row.public ? 'public' : 'private') },
  { title: 'URL', cell: ({ url }) => url },
]

export function define(command: Command, { io, client }: Context, run: Run): void {
  command.addHelpText('after', EXAMPLES)
  const list = command.command('ls').summary('list what listens and what is shared').argument('<sandbox>', 'id or name')
  addListOptions(list, 'print ports only').action((sandbox: string) =>
    run(async () => {
      const ports = await (await client()).sandboxes.at(sandbox).ports.list()
      await writeList(io, outputChoice(list), ports, { columns: COLUMNS, id: (row) => String(row.port) })
      return STATUS.ok
    }),
  )
  const url = command.command('url').summary('print an address that opens a private port in a browser, once')
  onePort(url)
    .option('--path <path>', 'path and query to open (default: /)')
    .option('--expires-in <time>', 'how long the browser may look after that (default: 1h, at most 24h)', duration)
  addOutputOption(url).action((sandbox: string, number: number) =>
    run(async () => {
      const { path, expiresIn } = url.opts<{ path?: string; expiresIn?: number }>()
      const signed = await (await client()).sandboxes.at(sandbox).ports.previewUrl(number, {
        ...(path === undefined ? {} : { path }),
        ...(expiresIn === undefined ? {} : { expiresIn }),
      })
      const format = outputFormat(url)
      if (format === 'table') io.stdout.write(`${signed.url}\n`)
      else await writeData(io, format, signed)
      return STATUS.ok
    }),
  )
  const share = command.command('share').summary('give a port an address that keeps, and print it')
  onePort(share).option('--public', 'open it to whoever knows the address, without a key')
  addOutputOption(share).action((sandbox: string, number: number) =>
    run(async () => {
      const open = share.opts<{ public?: boolean }>().public ?? false
      const shared = await (await client()).sandboxes.at(sandbox).ports.share(number, { public: open })
      const format = outputFormat(share)
      if (format === 'table') io.stdout.write(`${shared.url}\n`)
      else await writeData(io, format, shared)
      if (!shared.listening && io.stderr.isTTY === true) {
        io.stderr.write(`Nothing listens on port ${shared.port} of the sandbox yet.\n`)
      }
      return STATUS.ok
    }),
  )
  const unshare = command.command('unshare').summary('make a port private again')
  onePort(unshare).action((sandbox: string, number: number) =>
    run(async () => {
      await (await client()).sandboxes.at(sandbox).ports.unshare(number)
      io.stdout.write(`${number}\n`)
      return STATUS.ok
    }),
  )
}

function onePort(command: Command): Command {
  return command.argument('<sandbox>', 'id or name').argument('<port>', 'port of the sandbox', port)
}
