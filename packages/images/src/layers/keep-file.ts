import { CoveError } from '@cove/domain'
import { startLayersProgram } from './layers-program.ts'

/** A file held in memory, sealed: programs that open it for writing can map it for themselves, and change nothing. */
export interface KeptFile extends AsyncDisposable {
  /** Under which root opens it, as long as it is held. Whoever has it open or mapped keeps what is in it. */
  readonly path: string
  /** It is held no more; settles when that is so. Never rejects. */
  readonly ended: Promise<void>
}

/**
 * Takes a file into memory, without what is zero. It is held until it is disposed of, and no longer than this process
 * lives. Errors: `unsupported`, `no-space`, `io-error`, `cancelled`.
 */
export async function keepFile(program: string, from: string, signal?: AbortSignal): Promise<KeptFile> {
  const run = startLayersProgram(program, ['keep', '--from', from])
  const onAbort = () => run.kill()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    signal?.throwIfAborted()
    const path = `/proc/${run.pid}/fd/${parseFd(await firstLine(run.stdout, run.ended))}`
    return { path, ended: run.ended.catch(() => undefined), [Symbol.asyncDispose]: () => run[Symbol.asyncDispose]() }
  } catch (error) {
    await run[Symbol.asyncDispose]()
    if (signal?.aborted === true) throw CoveError.from(signal.reason, 'cancelled')
    throw CoveError.from(error, 'io-error')
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

const MAX_LINE = 200

async function firstLine(stdout: NodeJS.ReadableStream, ended: Promise<void>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let text = ''
  stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(0, MAX_LINE)
    if (text.includes('\n')) resolve(text)
  })
  ended.then(() => reject(new CoveError('io-error', 'the program for layers has ended')), reject)
  return await promise
}

function parseFd(line: string): number {
  const value: unknown = JSON.parse(line)
  const fd = typeof value === 'object' && value !== null && 'fd' in value ? value.fd : undefined
  if (typeof fd !== 'number' || !Number.isSafeInteger(fd) || fd < 0) throw new TypeError('not a descriptor')
  return fd
}
