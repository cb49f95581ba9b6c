import { ROLES, type KeyInfo, type Role } from '@cove/sdk'
import { Option, type Command } from 'commander'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { STATUS } from '../exit-status.ts'
import { readKeyFile } from '../key-file.ts'
import { addListOptions, addOutputOption, outputChoice, outputFormat } from '../options/output-options.ts'
import { duration } from '../options/parse.ts'
import { writeData } from '../render/data.ts'
import { writeList } from '../render/list.ts'
import type { Column } from '../render/table.ts'
import { ageText } from '../render/text.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove key create --name laptop                          # for work with sandboxes
  cove key create --role viewer --expires-in 30d -q      # the key alone, for scripts
  cove key revoke k3x...                                 # from now on it opens nothing
  export COVE_API_KEY=$(cove key show)                   # the key of this machine's Cove

A viewer looks, a member works with sandboxes, an admin also makes keys and reads the audit log.
`

const COLUMNS: readonly Column<KeyInfo>[] = [
  { title: 'ID', minWidth: 16, cell: ({ id }) => id },
  { title: 'NAME', cell: ({ name }) => name || '-' },
  { title: 'PROJECT', cell: ({ project }) => project },
  { title: 'ROLE', minWidth: 6, cell: ({ role }) => role },
  { title: 'KEY', cell: ({ prefix }) => `${prefix}…` },
  { title: 'AGE', cell: ({ createdAt }) => ageText(createdAt, Date.now()) },
  {
    title: 'USED',
    cell: ({ lastUsedAt }) => (lastUsedAt === undefined ? '-' : `${ageText(lastUsedAt, Date.now())} ago`),
  },
  { title: 'ENDS', cell: endText },
]

interface Parsed {
  readonly name?: string
  readonly role?: Role
  readonly expiresIn?: number
}

export function define(command: Command, context: Context, run: Run): void {
  const { io, client } = context
  command.addHelpText('after', EXAMPLES).action(() => run(() => explain(context)))
  const create = command.command('create').summary('make a key; it is shown this once')
  create
    .option('--name <name>', 'a name for people, to tell it from others')
    .addOption(new Option('--role <role>', 'what it may do (default: member)').choices(ROLES))
    .option('--expires-in <time>', 'end it after so long, such as 30d (default: never)', duration)
  addOutputOption(create)
    .option('-q, --quiet', 'print the key only')
    .action(() => run(() => makeKey(create, context)))
  const list = command.command('ls').summary('list keys').option('-a, --all', 'those that have ended too')
  addListOptions(list).action(() =>
    run(async () => {
      const includeEnded = list.opts<{ all?: boolean }>().all ?? false
      const keys = await (await client()).keys.list({ includeEnded })
      await writeList(io, outputChoice(list), keys, { columns: COLUMNS, id: ({ id }) => id })
      return STATUS.ok
    }),
  )
  command
    .command('revoke')
    .summary('end keys at once')
    .argument('<keys...>', 'ids, as `cove key ls` shows them')
    .action((ids: string[]) =>
      run(async () => {
        const cove = await client()
        return forEachName(ids, io, async (id) => {
          await cove.keys.revoke(id)
        })
      }),
    )
  const whoami = command.command('whoami').summary('show who the key that is used makes you')
  addOutputOption(whoami).action(() => run(() => showCaller(whoami, context)))
  command
    .command('show')
    .summary("print the key of this machine's Cove")
    .action(() =>
      run(async () => {
        io.stdout.write(`${(await readKeyFile(io.env)).key}\n`)
        return STATUS.ok
      }),
    )
  command
    .command('path')
    .summary("print where the key of this machine's Cove is kept")
    .action(() =>
      run(async () => {
        io.stdout.write(`${(await readKeyFile(io.env)).path}\n`)
        return STATUS.ok
      }),
    )
}

async function explain({ io }: Context): Promise<number> {
  const { path } = await readKeyFile(io.env)
  io.stdout.write(`The API key is in ${path} (only you may read it).\n`)
  io.stdout.write('cove and the SDK use it by themselves; for others: export COVE_API_KEY=$(cove key show)\n')
  io.stdout.write('More keys, for people and programs: cove key create --help\n')
  return STATUS.ok
}

async function makeKey(command: Command, { io, client }: Context): Promise<number> {
  const { name, role, expiresIn } = command.opts<Parsed>()
  const { key, secret } = await (
    await client()
  ).keys.create({
    ...(name === undefined ? {} : { name }),
    ...(role === undefined ? {} : { role }),
    ...(expiresIn === undefined ? {} : { expiresIn }),
  })
  const { format, quiet } = outputChoice(command)
  if (format !== 'table') await writeData(io, format, quiet ? secret : { ...key, secret })
  else {
    io.stdout.write(`${secret}\n`)
    if (!quiet) {
      const until = key.expiresAt === undefined ? 'until it is revoked' : `until ${key.expiresAt.toISOString()}`
      io.stderr.write(`Key ${key.id}: ${key.role} of project ${key.project}, ${until}.\n`)
      io.stderr.write('It is not shown again. To use it: export COVE_API_KEY=<key>, or `cove context add`.\n')
    }
  }
  return STATUS.ok
}

async function showCaller(command: Command, { io, client }: Context): Promise<number> {
  const cove = await client()
  const caller = await cove.caller()
  const format = outputFormat(command)
  if (format !== 'table') await writeData(io, format, { ...caller, url: cove.url })
  else {
    const what =
      caller.sandbox === undefined ? `key ${caller.key}` : `token ${caller.key} for sandbox ${caller.sandbox}`
    const operator = caller.operator ? ', operator of all projects' : ''
    io.stdout.write(`${caller.role} of project ${caller.project}${operator}, by ${what}, at ${cove.url}\n`)
  }
  return STATUS.ok
}

function endText({ revokedAt, expiresAt }: KeyInfo): string {
  if (revokedAt !== undefined) return 'revoked'
  if (expiresAt === undefined) return 'never'
  const left = expiresAt.getTime() - Date.now()
  return left <= 0 ? 'expired' : `in ${ageText(new Date(0), left)}`
}
