import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { CoveError, type Files, type TransferSummary } from '@cove/sdk'
import type { Command } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import { Sink } from '../attach/sink.ts'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import { remotePlace, type RemotePlace } from '../options/place.ts'
import { writeWarning } from '../render/error.ts'
import { showProgress } from '../render/progress.ts'
import { UsageError } from '../usage-error.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove cp ./project web:/home/user/       # becomes /home/user/project
  cove cp ./project/. web:/srv/app        # its content becomes the content of /srv/app
  cove cp web:/home/user/out.csv .
  tar cz . | cove cp - web:/tmp/a.tgz
  cove cp web:/var/log/app.log - | tail

Directories are copied with everything in them: modes, links, empty directories. A path in a sandbox is absolute.
A local name with a colon is written with a slash before it: ./a:b
`

type Place = { readonly kind: 'local'; readonly path: string } | Remote | { readonly kind: 'pipe' }
interface Remote extends RemotePlace {
  readonly kind: 'remote'
}

interface Parsed {
  readonly user?: string
  readonly quiet?: boolean
}

export function define(command: Command, context: Context, run: Run): void {
  command
    .argument('<source>', 'path, <sandbox>:<path>, or - for stdin')
    .argument('<target>', 'path, <sandbox>:<path>, or - for stdout')
    .option('-u, --user <name>', 'act as root or user inside (default: user)')
    .option('-q, --quiet', 'show no progress')
    .addHelpText('after', EXAMPLES)
    .action((source: string, target: string) => run(() => copy(command, context, readPlace(source), readPlace(target))))
}

async function copy(command: Command, { io, client }: Context, source: Place, target: Place): Promise<number> {
  const cove = await client()
  using interrupts = new Interrupts(io)
  const { user, quiet = false } = command.opts<Parsed>()
  const options = { signal: interrupts.first, ...(user === undefined ? {} : { user }) }
  try {
    if (target.kind === 'remote' && source.kind !== 'remote') {
      const { files } = cove.sandboxes.at(target.sandbox)
      if (source.kind === 'local')
        return await transfer(io, quiet, (more) => put(files, source.path, target.path, { ...options, ...more }))
      await files.write(target.path, stdinContent(io), options)
      return STATUS.ok
    }
    if (source.kind === 'remote' && target.kind !== 'remote') {
      const { files } = cove.sandboxes.at(source.sandbox)
      if (target.kind === 'local')
        return await transfer(io, quiet, (more) => fetch(files, source.path, target.path, { ...options, ...more }))
      using sink = new Sink(io.stdout)
      const { content } = await files.readStream(source.path, options)
      for await (const part of content) await sink.write(part)
      return STATUS.ok
    }
  } catch (thrown) {
    if (interrupts.status !== undefined) return interrupts.status
    throw thrown
  }
  throw new UsageError('one of the two must be in a sandbox', 'Write it as <sandbox>:<path>, for example web:/tmp/x.')
}

type TransferOptions = NonNullable<Parameters<Files['upload']>[2]>

async function transfer(
  io: Io,
  quiet: boolean,
  work: (options: Pick<TransferOptions, 'onProgress' | 'onSkip'>) => Promise<TransferSummary>,
): Promise<number> {
  using progress = showProgress(io, quiet)
  const { skipped } = await work({
    onProgress: progress.show,
    onSkip: (path, why) => {
      progress.clear()
      writeWarning(io, `${path} was not copied: ${why}`)
    },
  })
  return skipped === 0 ? STATUS.ok : STATUS.failure
}

async function put(files: Files, local: string, remote: string, options: TransferOptions): Promise<TransferSummary> {
  const content = local === '.' || local.endsWith('/.')
  const into = !content && (remote.endsWith('/') || (await isRemoteDirectory(files, remote, options)))
  return files.upload(local, into ? `${remote.replace(/\/+$/, '')}/${basename(resolve(local))}` : remote, options)
}

async function fetch(files: Files, remote: string, local: string, options: TransferOptions): Promise<TransferSummary> {
  const content = remote.endsWith('/.')
  const isDirectory = await stat(local).then(
    (found) => found.isDirectory(),
    () => false,
  )
  const name = basename(remote)
  const into = !content && name !== '' && (local.endsWith('/') || isDirectory)
  return files.download(remote, into ? join(local, name) : local, options)
}

/** Also through a link, which a plain look does not follow. */
async function isRemoteDirectory(files: Files, path: string, options: TransferOptions): Promise<boolean> {
  try {
    return (await files.stat(`${path}/.`, options)).type === 'directory'
  } catch (thrown) {
    if (thrown instanceof CoveError && (thrown.code === 'file-not-found' || thrown.code === 'not-a-directory'))
      return false
    throw thrown
  }
}

async function* stdinContent(io: Io): AsyncGenerator<Uint8Array> {
  for await (const part of io.stdin) yield typeof part === 'string' ? Buffer.from(part) : (part as Uint8Array)
}

function readPlace(text: string): Place {
  if (text === '-') return { kind: 'pipe' }
  const remote = remotePlace(text)
  return remote === undefined ? { kind: 'local', path: text } : { kind: 'remote', ...remote }
}
