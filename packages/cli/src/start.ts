import { fstatSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { OutputClosed } from './attach/output-closed.ts'
import { STATUS } from './exit-status.ts'
import type { Io } from './io.ts'
import { main } from './main.ts'
import { writeError } from './render/error.ts'

/** The real command line: runs one command and ends the process with its status. */
export async function start(): Promise<void> {
  const io: Io = {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    stdinIsEmpty: standsForNothing(0),
    onSignal: (signal, handler) => {
      process.on(signal, handler)
      return () => process.off(signal, handler)
    },
  }
  // Whoever read the output may have gone; who streams to it notices for himself.
  let lost: NodeJS.ErrnoException | undefined
  process.stderr.on('error', () => {})
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') lost ??= error
  })
  const status = await main(process.argv.slice(2), io)
  // Leaving at once: an unread terminal and idle connections would hold the process for no reason.
  await Promise.all([flushed(io.stdout), flushed(io.stderr)])
  // What failed in the last write is told in the next turn.
  await setImmediate()
  if (lost !== undefined) writeError(io, `the output cannot be written: ${lost.message}`, 'Make room where it goes.')
  process.exit(lost !== undefined && (status === STATUS.ok || status === OutputClosed.status) ? STATUS.failure : status)
}

/** `/dev/null`, or nothing at all: whoever started this command has no input for it. */
function standsForNothing(descriptor: number): boolean {
  try {
    const stat = fstatSync(descriptor)
    const devNull = stat.isCharacterDevice() && stat.rdev === 0x103
    return devNull || (stat.isFile() && stat.size === 0)
  } catch {
    return true
  }
}

function flushed(stream: Io['stdout']): Promise<void> {
  if (stream.writableLength === 0 || stream.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    stream.write('', () => resolve())
    stream.once('error', () => resolve())
  })
}
