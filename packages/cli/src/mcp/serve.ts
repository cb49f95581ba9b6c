import { CoveError } from '@cove/domain'
import { STATUS } from '../exit-status.ts'
import type { Io } from '../io.ts'
import type { Where } from '../options/global-options.ts'
import { Bridge } from './bridge.ts'
import { findEndpoint, startDaemon } from './find-endpoint.ts'
import type { Endpoint } from './http-post.ts'
import { lineWriter } from './line-writer.ts'
import { TOO_LONG, linesOf } from './lines.ts'
import { errorMessage } from './message.ts'

/** Bytes of one message: twice what the daemon takes, whose own refusal says to which message it belongs. */
const LINE_BYTES = 64 * 1024 * 1024
/** Milliseconds for what is still being answered when the client has closed its end. */
const LAST_ANSWERS_MS = 2_000

/** `cove mcp`: the Model Context Protocol on stdin and stdout, carried to the daemon, until stdin ends. */
export async function serve(where: Where, io: Io, start: boolean): Promise<number> {
  let starting: Promise<void> | undefined
  // A daemon that goes later has been stopped by somebody who means it.
  let mayStart = start
  const find = async (): Promise<Endpoint> => {
    const endpoint = await findEndpoint(where, io, mayStart ? () => (starting ??= startDaemon(io)) : undefined)
    mayStart = false
    return endpoint
  }
  const write = lineWriter(io.stdout)
  await using bridge = new Bridge({ find, write })
  const ended = Promise.withResolvers<'signal' | 'closed'>()
  const offs = (['SIGTERM', 'SIGINT', 'SIGHUP'] as const).map((signal) =>
    io.onSignal?.(signal, () => ended.resolve('signal')),
  )
  io.stdout.once('error', () => ended.resolve('closed'))
  const reading = read(bridge, io, write, ended.promise)
  try {
    const how = await Promise.race([reading, ended.promise])
    if (how === undefined) await Promise.race([bridge.settle(LAST_ANSWERS_MS), ended.promise])
  } finally {
    for (const off of offs) off?.()
    io.stdin.destroy()
    await reading.catch(() => undefined)
  }
  return STATUS.ok
}

async function read(
  bridge: Bridge,
  io: Io,
  write: (line: string) => Promise<void>,
  ended: Promise<unknown>,
): Promise<undefined> {
  for await (const line of linesOf(io.stdin, LINE_BYTES)) {
    if (line === TOO_LONG) await Promise.race([write(TOO_LONG_ANSWER), ended])
    else bridge.take(line)
    if (bridge.isFull) await Promise.race([bridge.room(), ended])
  }
}

const TOO_LONG_ANSWER = errorMessage(
  null,
  new CoveError(
    'payload-too-large',
    `a message may have at most ${LINE_BYTES} bytes`,
    {},
    { fix: 'Write large files in parts.' },
  ),
)
