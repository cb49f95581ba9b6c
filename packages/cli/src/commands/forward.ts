import type { Cove, ForwardEvent, PortForward } from '@cove/sdk'
import { CoveError } from '@cove/sdk'
import type { Command } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { findProject } from '../project/find-project.ts'
import { UsageError } from '../usage-error.ts'
import { portPair, type PortPair } from '../options/parse.ts'
import { writeWarning } from '../render/error.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove forward web 8000                # http://127.0.0.1:8000 is port 8000 of the sandbox
  cove forward web 8000:9000 5432      # port 8000 at 9000 here, and 5432
  cove forward web 8000:0              # at any port that is free here

Goes on until Ctrl-C, also while Cove is restarted. Where a port is taken here and none was named, a free one is used.
`

interface Parsed {
  readonly address?: string
  readonly verbose?: boolean
}

export function define(command: Command, context: Context, run: Run): void {
  command
    .argument('[sandbox]', 'id or name (default: that of cove.yaml)')
    .argument('[ports...]', 'ports of the sandbox, or <port>:<local port> (default: those of cove.yaml)', portPair)
    .option('--address <address>', 'local address to listen on', '127.0.0.1')
    .option('-v, --verbose', 'tell of every connection')
    .addHelpText('after', EXAMPLES)
    .action((sandbox: string | undefined, ports: PortPair[] = []) =>
      run(async () => {
        const what = await complete(sandbox, ports, context.io)
        return forward(command, context, what.sandbox, what.ports)
      }),
    )
}

/** What is not named is looked up in the nearest `cove.yaml`. */
async function complete(sandbox: string | undefined, ports: readonly PortPair[], io: Io) {
  if (sandbox !== undefined && ports.length > 0) return { sandbox, ports }
  const found = await findProject(io)
  const name = sandbox ?? found?.project.name
  const own = ports.length > 0 ? ports : (found?.project.ports ?? []).map((port): PortPair => ({ port }))
  if (name === undefined) {
    throw new UsageError(
      'which sandbox?',
      'Name it: cove forward <sandbox> <port>; or put `name` and `ports` into cove.yaml.',
    )
  }
  if (own.length === 0) throw new UsageError('which ports?', `Name them: cove forward ${name} 8000`)
  if (found !== undefined) io.stderr.write(`using ${found.path}\n`)
  return { sandbox: name, ports: own }
}

async function forward(command: Command, { io, client }: Context, sandbox: string, ports: readonly PortPair[]) {
  const { address = '127.0.0.1', verbose = false } = command.opts<Parsed>()
  const cove = await client()
  using interrupts = new Interrupts(io)
  // A name that is not there is told now and not at the first connection.
  await cove.sandboxes.get(sandbox, { signal: interrupts.first })
  await using open = new AsyncDisposableStack()
  const closed: Promise<void>[] = []
  for (const pair of ports) {
    const one = open.use(await listen(cove, sandbox, pair, address, io, verbose))
    closed.push(one.closed)
    io.stdout.write(`${urlHost(one.host)}:${one.port} -> ${sandbox}:${pair.port}\n`)
  }
  if (address !== '127.0.0.1' && address !== 'localhost' && address !== '::1') {
    writeWarning(io, `whoever reaches ${address} reaches the sandbox too, without a key`)
  }
  if (io.stderr.isTTY === true) io.stderr.write('Ctrl-C ends it.\n')
  await Promise.race([Promise.all(closed), aborted(interrupts.first)])
  return STATUS.ok
}

/** At the port that was asked for; when nobody asked for a certain one and it is taken, at a free one. */
async function listen(
  cove: Cove,
  sandbox: string,
  { port, local }: PortPair,
  host: string,
  io: Io,
  verbose: boolean,
): Promise<PortForward> {
  const { ports } = cove.sandboxes.at(sandbox)
  const told = new Set<string>()
  const onEvent = (event: ForwardEvent) => tell(event, port, io, verbose, told)
  try {
    return await ports.forward(port, { host, localPort: local ?? port, onEvent })
  } catch (thrown) {
    if (!(thrown instanceof CoveError) || local !== undefined || !mayMove(thrown)) throw thrown
    const found = await ports.forward(port, { host, localPort: 0, onEvent })
    writeWarning(io, `port ${port} cannot be used here, so that it is ${found.port}: ${thrown.message}`)
    return found
  }
}

/** Taken by another program, or one of the ports that are not for everybody. */
function mayMove({ code, message }: CoveError): boolean {
  return code === 'address-in-use' || message.includes('EACCES')
}

/** What goes wrong is told once and not for each of a browser's many tries. */
function tell(event: ForwardEvent, port: number, io: Io, verbose: boolean, told: Set<string>): void {
  if (event.type === 'failed') {
    const { code, fix, message } = CoveError.from(event.error)
    if (code === 'cancelled' || (told.has(code) && !verbose)) return
    told.add(code)
    writeWarning(io, `port ${port}: ${message} (${fix.replace(/\.$/, '')})`)
    return
  }
  // It works again: the next failure is news.
  told.clear()
  if (!verbose) return
  const what =
    event.type === 'opened' ? `from ${event.from}` : `ended, ${event.sent} bytes in, ${event.received} bytes out`
  io.stderr.write(`port ${port}: connection ${event.connection} ${what}\n`)
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

const urlHost = (host: string): string => (host.includes(':') ? `[${host}]` : host)
