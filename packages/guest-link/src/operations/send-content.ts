import { CoveError } from '@cove/domain'
import { STREAM } from '@cove/frames'
import type { Channel } from '../channel.ts'
import { unlessEnded } from './call.ts'

/**
 * Sends all of `content` and `END` on stream 0, at the guest's pace. When the channel ends first, or `content`
 * fails, the rest of `content` is let go and the error thrown; a failure of `content` closes the channel.
 */
export async function sendContent(
  channel: Channel,
  content: AsyncIterable<Uint8Array>,
  closedEarly: () => CoveError,
): Promise<void> {
  const source = content[Symbol.asyncIterator]()
  let exhausted = false
  try {
    for (;;) {
      const result = await unlessEnded(channel, source.next(), closedEarly)
      if (result.done === true) {
        exhausted = true
        break
      }
      await channel.send(STREAM.content, result.value)
    }
    channel.sendEnd(STREAM.content)
  } catch (error) {
    const failure = channel.error ?? CoveError.from(error, 'io-error')
    channel.abandon(failure)
    throw failure
  } finally {
    // A generator that waits for something would answer `return` only after that: nobody waits for it.
    if (!exhausted) source.return?.().catch(() => {})
  }
}
