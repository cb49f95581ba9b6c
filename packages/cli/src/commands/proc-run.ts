import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { CoveError, parseBytes } from '@cove/domain'
import { parseReadyCheck, parseRestartPolicy } from '@cove/runner'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { addOutputOption, outputFormat, type OutputFormat } from '../options/output-options.ts'
import { duration, each, pairs } from '../options/parse.ts'
import { addProcPlace, openProcs } from '../options/proc-options.ts'
import { readPort, readVolume } from '../proc/container-options.ts'
import { ProcProgress } from '../proc/proc-progress.ts'
import { BACKENDS, type BackendChoice } from '../proc/proc-spec.ts'
import type { Procs, ProcWish } from '../proc/procs.ts'
import { readLog } from '../proc/read-log.ts'
import { settle } from '../proc/settle.ts'
import { renderError } from '../render/error.ts'
import { writeData } from '../render/data.ts'
import { printable } from '../render/text.ts'
import { UsageError } from '../usage-error.ts'
import type { Run } from './registry.ts'

const LAST_LINES = 10
const EXAMPLES = `
Ready when: a port, such as 8000; an address, such as http://localhost:8000/up; log:<pattern> for a line of its output;
command:<line> for a line of the shell that ends with 0.

Examples:
  cove proc run --ready 8000 -- python3 -m http.server 8000
  cove proc run --name worker --restart on-failure:5 -e QUEUE=mail -- ./worker.sh
  cove proc run --image redis:7 -p 6379:6379 --ready 'log:Ready to accept' -- redis-server

The status is 0 when it runs and is ready, 124 when it was not ready in time, 127 when there is no such program, and 1
when it failed otherwise. With --detach nothing is waited for but its start.
`

interface Parsed {
  readonly name?: string
  readonly backend: BackendChoice
  readonly restart: string
  readonly ready?: string
  readonly readyTimeout: number
  readonly grace: number
  readonly logSize: number
  readonly env?: Record<string, string>
  readonly envFile?: string[]
  readonly workdir?: string
  readonly image?: string
  readonly publish?: string[]
  readonly volume?: string[]
  readonly detach?: boolean
  readonly quiet?: boolean
}

export function define(command: Command, { io }: Context, run: Run): void {
  command
    .option('--name <name>', 'its name (default: after the program)')
    .addOption(new Option('--backend <kind>', 'what it runs in').choices(BACKENDS).default('auto'))
    .addOption(usual('--restart <policy>', 'no, on-failure, on-failure:<most in a row> or always', 'no', policy))
    .option('-d, --detach', 'do not wait until it is ready')
    .option('-q, --quiet', 'print its name only')
    .optionsGroup('Ready:')
    .option('--ready <check>', 'when it counts as ready (see below)', checkText)
    .addOption(usual('--ready-timeout <time>', 'how long that may take after each start', '60s', duration))
    .optionsGroup('The process:')
    .option('-e, --env <name=value>', 'set a variable; may be repeated', pairs)
    .option('--env-file <file>', 'set the variables that a file names; may be repeated', each)
    .option('-w, --workdir <directory>', 'directory to run in (default: this one; in a container, its own)')
    .addOption(usual('--grace <time>', 'from TERM to KILL when it is to end', '5s', duration))
    .addOption(usual('--log-size <size>', 'how much of its output is kept', '16MiB', logBytes))
    .optionsGroup('A container (docker):')
    .option('--image <name>', 'the image; with it `auto` takes Docker where that works')
    .option('-p, --publish <host:container>', 'a port, on loopback; may be repeated', publishText)
    .option('-v, --volume <host:container>', 'a folder of this machine, also with :ro; may be repeated', volumeText)
  addProcPlace(addOutputOption(command))
    .argument('<program>', 'a program of this machine, the container or the shell')
    .argument('[arguments...]', 'its arguments')
    .passThroughOptions()
    .addHelpText('after', EXAMPLES)
    .action((program: string, args: string[]) => run(() => start(command, io, [program, ...args])))
}

async function start(command: Command, io: Io, argv: readonly string[]): Promise<number> {
  const parsed = command.opts<Parsed>()
  const format = outputFormat(command)
  await using procs = await openProcs(command, io)
  using interrupts = new Interrupts(io)
  const begun = Date.now()
  const name = await procs.start(wish(parsed, argv, io), parsed.name)
  if (parsed.detach === true) return await answer(procs, name, io, format)
  const progress = new ProcProgress(name, io, parsed.quiet === true)
  const signal = interrupts.first
  const settled = await settle(procs, name, { runs: 0, signal, onChange: (info) => progress.show(info) })
  if (settled.kind === 'left') {
    io.stderr.write(`${name} goes on. To end it: cove proc stop ${name}\n`)
    return interrupts.status ?? STATUS.failure
  }
  if (settled.kind === 'ready') {
    progress.done(settled.info)
    return await answer(procs, name, io, format)
  }
  await showLastLines(procs, name, io, begun)
  renderError(settled.error, io)
  return STATUSES[settled.error.code] ?? STATUS.failure
}

const STATUSES: Readonly<Record<string, number>> = {
  'deadline-exceeded': STATUS.timedOut,
  'command-not-found': STATUS.notFound,
}

async function answer(procs: Procs, name: string, io: Io, format: OutputFormat): Promise<number> {
  if (format === 'table') io.stdout.write(`${name}\n`)
  else await writeData(io, format, await procs.get(name))
  return STATUS.ok
}

function wish(parsed: Parsed, argv: readonly string[], io: Io): ProcWish {
  const { backend, image, publish = [], volume = [], workdir } = parsed
  if (backend === 'docker' && image === undefined) {
    throw new UsageError('a container needs an image', 'Add --image <name>.')
  }
  if (backend !== 'docker' && backend !== 'auto' && (image !== undefined || publish.length + volume.length > 0)) {
    throw new UsageError(
      `--image, --publish and --volume mean nothing to ${backend}`,
      'Leave them out, or use --backend docker.',
    )
  }
  if (image === undefined && publish.length + volume.length > 0) {
    throw new UsageError('--publish and --volume are for containers', 'Add --image <name>, or leave them out.')
  }
  const [program = '', ...args] = argv
  const files = (parsed.envFile ?? []).map(readEnvFile)
  // The supervisor cannot be given it as its own.
  const nodeOptions = io.env['NODE_OPTIONS']
  return {
    backend,
    program,
    args,
    directory: resolve(image === undefined ? (workdir ?? '.') : '.'),
    workdir: image === undefined ? undefined : workdir,
    environment: {
      ...(nodeOptions === undefined ? {} : { NODE_OPTIONS: nodeOptions }),
      ...Object.assign({}, ...files),
      ...parsed.env,
    },
    restart: parsed.restart,
    ready: parsed.ready,
    readyTimeoutMs: parsed.readyTimeout,
    graceMs: parsed.grace,
    logBytes: parsed.logSize,
    image,
    ports: publish,
    volumes: volume,
  }
}

/** Of this start: what was before it in the log is of another one. */
async function showLastLines(procs: Procs, name: string, io: Io, begun: number): Promise<void> {
  const { signal } = new AbortController()
  for await (const line of readLog(procs.folder(name), { tail: LAST_LINES, signal })) {
    if (line === 'gap' || line.stream === 'cove' || line.time.getTime() < begun) continue
    io.stderr.write(`${printable(line.text)}\n`)
  }
}

function readEnvFile(file: string): Record<string, string> {
  try {
    const found: Record<string, string> = {}
    for (const [name, value] of Object.entries(parseEnv(readFileSync(file, 'utf8')))) {
      if (value !== undefined) found[name] = value
    }
    return found
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CoveError('invalid-argument', `${file} cannot be read: ${reason}`, { field: 'env-file' }, { cause })
  }
}

/** An option whose default is read as what a user writes would be. */
function usual(flags: string, about: string, text: string, parse: (text: string) => unknown): Option {
  return new Option(flags, about).argParser(parse).default(parse(text), text)
}

function policy(text: string): string {
  return checked(text, parseRestartPolicy, 'It must be no, on-failure, on-failure:<most> or always.')
}

function checkText(text: string): string {
  const want = 'It must be a port, an address, log:<pattern> or command:<line>.'
  return checked(text, parseReadyCheck, want)
}

function publishText(text: string, before: readonly string[] = []): string[] {
  return [...before, checked(text, readPort, 'It must be <port> or <host port>:<container port>.')]
}

function volumeText(text: string, before: readonly string[] = []): string[] {
  return [...before, checked(text, readVolume, 'It must be <folder>:<absolute path>, with :ro behind it if wanted.')]
}

function logBytes(text: string): number {
  const bytes = Number(checked(text, parseBytes, 'It must be a size, such as 16MiB.') && parseBytes(text))
  if (bytes >= 8192 && bytes <= 4 * 1024 ** 3) return bytes
  throw new InvalidArgumentError('It must be from 8KiB to 4GiB.')
}

function checked(text: string, parse: (text: string) => unknown, want: string): string {
  try {
    parse(text)
    return text
  } catch {
    throw new InvalidArgumentError(want)
  }
}
