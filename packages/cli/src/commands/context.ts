import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { CoveError } from '@cove/domain'
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import {
  CONTEXT_NAME,
  changeContexts,
  contextsPath,
  findContext,
  LOCAL,
  readContexts,
  type Contexts,
  type ServerContext,
} from '../contexts/contexts-file.ts'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { addListOptions, addOutputOption, outputChoice, outputFormat } from '../options/output-options.ts'
import { writeData } from '../render/data.ts'
import { detailsText } from '../render/details.ts'
import { writeList } from '../render/list.ts'
import type { Column } from '../render/table.ts'
import { UsageError } from '../usage-error.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove context add prod --url https://cove.example.com --key-file ~/prod.key
  cove --context prod ls            # this command only; COVE_CONTEXT does the same
  cove context use prod             # from now on
  cove context use local            # back to the Cove of this machine

First counts --url, then --context, COVE_URL, COVE_CONTEXT, COVE_DATA_DIR, the current context, and last the Cove of
this machine.
`

interface Added {
  readonly keyFile?: string
  readonly keyStdin?: boolean
  readonly url?: string
  readonly inProject?: string
  readonly use?: boolean
  readonly force?: boolean
}

/** A context as it is shown: never with its key. */
interface Shown {
  readonly name: string
  readonly url: string
  readonly current: boolean
  /** Where the key is from. */
  readonly key: string
  readonly project?: string
}

const COLUMNS: readonly Column<Shown>[] = [
  { title: 'NAME', cell: ({ name, current }) => (current ? `${name} *` : name) },
  { title: 'URL', cell: ({ url }) => url },
  { title: 'PROJECT', cell: ({ project }) => project ?? '-' },
  { title: 'KEY', cell: ({ key }) => key },
]

export function define(command: Command, { io }: Context, run: Run): void {
  command.addHelpText('after', EXAMPLES)
  const list = command.command('ls').summary('list contexts; the current one has a star')
  addListOptions(list, 'print names only').action(() => run(() => listContexts(list, io)))
  const show = command.command('show').summary('show one context').argument('[context]', 'default: the current one')
  addOutputOption(show).action((name: string | undefined) => run(() => showContext(show, io, name)))
  command
    .command('use')
    .summary('make a context the current one')
    .argument('<context>', `name; ${LOCAL} is the Cove of this machine`)
    .action((name: string) => run(() => useContext(io, name)))
  const add = command.command('add').summary('add a context, or change it with --force')
  add
    .argument('<name>', 'letters, digits, dot, dash and underscore')
    .option('--url <url>', 'address of the Cove')
    .option('--key-file <file>', 'file that holds its API key; it is read at each use')
    .option('--key-stdin', 'read the API key from stdin and keep it')
    .option('--in-project <name>', 'project to work in')
    .option('--use', 'make it the current one')
    .option('-f, --force', 'replace one of this name')
    .action((name: string) => run(() => addContext(add, io, name)))
  command
    .command('rm')
    .summary('forget contexts')
    .argument('<contexts...>', 'names')
    .action((names: string[]) => run(() => removeContexts(io, names)))
}

async function listContexts(command: Command, io: Io): Promise<number> {
  const all = await readContexts(io.env)
  const rows = [shownLocal(all), ...Object.entries(all.contexts).map(([name, entry]) => shown(name, entry, all))]
  await writeList(io, outputChoice(command), rows, { columns: COLUMNS, id: ({ name }) => name })
  return STATUS.ok
}

async function showContext(command: Command, io: Io, chosen: string | undefined): Promise<number> {
  const all = await readContexts(io.env)
  const name = chosen ?? all.current ?? LOCAL
  const view = name === LOCAL ? shownLocal(all) : shown(name, findContext(all, name), all)
  const format = outputFormat(command)
  if (format !== 'table') await writeData(io, format, view)
  else {
    const { url, key, current, project } = view
    const lines = { name, url, key, project, current: current ? 'yes' : 'no', file: contextsPath(io.env) }
    io.stdout.write(detailsText(Object.entries(lines)))
  }
  return STATUS.ok
}

async function useContext(io: Io, name: string): Promise<number> {
  await changeContexts(io.env, (all) => {
    if (name !== LOCAL) findContext(all, name)
    const { contexts } = all
    return name === LOCAL ? { contexts } : { current: name, contexts }
  })
  io.stdout.write(`${name}\n`)
  return STATUS.ok
}

async function addContext(command: Command, io: Io, name: string): Promise<number> {
  const { keyFile, keyStdin = false, url, inProject, use = false, force = false } = command.opts<Added>()
  if (!CONTEXT_NAME.test(name) || name === LOCAL) {
    throw new UsageError(`${JSON.stringify(name)} cannot be the name of a context`, 'Use letters, digits and dashes.')
  }
  if (keyFile !== undefined && keyStdin) throw new UsageError('there are two keys', 'Take --key-file or --key-stdin.')
  // Told before a key is asked for.
  const known = await readContexts(io.env)
  checkNew(known, name, force)
  const key = keyStdin ? await readKey(io) : undefined
  const kept = keyFile === undefined && key === undefined
  const given = keyOf({ key, keyFile: keyFile && readable(resolve(keyFile)) })
  await changeContexts(io.env, (all) => {
    const before = checkNew(all, name, force)
    const project = inProject ?? before?.project
    const entry: ServerContext = {
      url: checkUrl(url ?? before?.url),
      ...(kept ? keyOf(before) : given),
      ...(project === undefined ? {} : { project }),
    }
    const current = use ? name : all.current
    return { ...(current === undefined ? {} : { current }), contexts: { ...all.contexts, [name]: entry } }
  })
  io.stdout.write(`${name}\n`)
  if (!use && known.current === undefined && io.stderr.isTTY === true) {
    io.stderr.write(`Use it with \`cove --context ${name} …\`, or from now on with \`cove context use ${name}\`.\n`)
  }
  return STATUS.ok
}

/** What is there by this name, which only `--force` may change. */
function checkNew({ contexts }: Contexts, name: string, force: boolean): ServerContext | undefined {
  const before = Object.hasOwn(contexts, name) ? contexts[name] : undefined
  if (before === undefined || force) return before
  const fix = 'Use another name, or change this one with --force.'
  throw new CoveError('already-exists', `there is a context ${name} already`, { context: name }, { fix })
}

async function removeContexts(io: Io, names: readonly string[]): Promise<number> {
  await changeContexts(io.env, (all) => {
    for (const name of names) findContext(all, name)
    const contexts = Object.fromEntries(Object.entries(all.contexts).filter(([name]) => !names.includes(name)))
    const { current } = all
    return current === undefined || names.includes(current) ? { contexts } : { current, contexts }
  })
  io.stdout.write(names.map((name) => `${name}\n`).join(''))
  return STATUS.ok
}

interface KeyParts {
  readonly key?: string | undefined
  readonly keyFile?: string | undefined
}

function keyOf({ key, keyFile }: KeyParts = {}): Pick<ServerContext, 'key' | 'keyFile'> {
  return { ...(key === undefined ? {} : { key }), ...(keyFile === undefined ? {} : { keyFile }) }
}

function checkUrl(url: string | undefined): string {
  if (url === undefined)
    throw new UsageError('there is no address', 'Give it with --url, such as https://cove.example.com.')
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:') {
    throw new UsageError(
      `${JSON.stringify(url)} is not an HTTP URL`,
      'Use an address such as https://cove.example.com.',
    )
  }
  if (parsed.username === '' && parsed.password === '') return url
  throw new UsageError('the address holds a password', 'Give the key with --key-file or --key-stdin.')
}

async function readKey(io: Io): Promise<string> {
  let text = ''
  for await (const part of io.stdin) {
    text += String(part)
    if (text.length > 4096) break
  }
  const key = text.trim()
  if (/^[\x21-\x7e]{1,512}$/.test(key)) return key
  throw new UsageError('there is no key on stdin', 'Pass it in: cove context add … --key-stdin < file.')
}

function readable(path: string): string {
  try {
    readFileSync(path)
    return path
  } catch (cause) {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    const fix = 'Put the key into a file that only you may read, and name it.'
    throw new CoveError('config-invalid', `the key cannot be read from ${path}: ${why}`, { path }, { fix, cause })
  }
}

function shown(name: string, { url, key, keyFile, project }: ServerContext, { current }: Contexts): Shown {
  const from = keyFile ?? (key === undefined ? 'COVE_API_KEY' : 'kept here')
  return { name, url, current: current === name, key: from, ...(project === undefined ? {} : { project }) }
}

const shownLocal = ({ current }: Contexts): Shown => ({
  name: LOCAL,
  url: 'this machine',
  current: current === undefined,
  key: 'data directory',
})
