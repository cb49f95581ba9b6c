import type { CoveError } from '@cove/domain'
import { Fields, FieldsWriter, FrameError } from '@cove/frames'
import type { Channel } from '../channel.ts'
import type { Session } from '../session.ts'
import { DEFAULT_WINDOW, OPEN, type Operation } from '../wire/tags.ts'

/** Window of channels that carry bulk from the guest. */
export const BULK_WINDOW = 1024 * 1024

export interface CallOptions {
  readonly window?: number
  readonly maxEvents?: number
  readonly maxEventBytes?: number
  readonly onFlood?: 'violation' | 'overflow'
}

/** The fields of an operation; the caller adds its own. */
export function request(operation: Operation): FieldsWriter {
  return new FieldsWriter().number(OPEN.operation, operation)
}

export function openCall(
  session: Session,
  fields: FieldsWriter,
  signal: AbortSignal | undefined,
  options: CallOptions = {},
): Channel {
  const window = options.window ?? DEFAULT_WINDOW
  if (window !== DEFAULT_WINDOW) fields.number(OPEN.window, window)
  return session.open(fields, {
    window,
    maxEvents: options.maxEvents ?? 16,
    maxEventBytes: options.maxEventBytes ?? 64 * 1024,
    onFlood: options.onFlood ?? 'violation',
    signal,
  })
}

/** An operation whose `OPENED` is the whole answer. Resolves when the guest has closed, too. */
export async function simpleCall(
  session: Session,
  fields: FieldsWriter,
  signal: AbortSignal | undefined,
): Promise<Fields> {
  const channel = openCall(session, fields, signal)
  const answer = await channel.opened
  await untilClosed(channel)
  return answer
}

/** Waits for the guest's `CLOSE` where nothing else may come. */
export async function untilClosed(channel: Channel): Promise<void> {
  const item = await channel.next()
  if (item !== undefined) throw channel.violation('more than the answer')
}

/** Runs a decoder on what the guest sent; a broken rule ends the session. */
export function decode<Value>(channel: Channel, decoder: () => Value): Value {
  try {
    return decoder()
  } catch (error) {
    if (error instanceof FrameError) throw channel.violation(error.message)
    throw error
  }
}

/**
 * Waits for `promise` or the end of the channel, whichever comes first. Unlike `Promise.race` it leaves nothing
 * behind on the channel, however often it is called.
 */
export function unlessEnded<Value>(channel: Channel, promise: Promise<Value>, ended: () => CoveError): Promise<Value> {
  return new Promise((resolve, reject) => {
    const release = channel.whenEnded(() => reject(channel.error ?? ended()))
    promise.then(resolve, reject).finally(release)
  })
}
