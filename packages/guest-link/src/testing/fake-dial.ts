import { once } from 'node:events'
import { CoveError } from '@cove/domain'
import { STREAM, type Fields } from '@cove/frames'
import { DIAL } from '../wire/tags.ts'
import type { FakeChannel } from './fake-channel.ts'
import type { FakeGuest } from './fake-guest.ts'
import { memoryPair } from './memory-pair.ts'

/** Connects the channel with a server of the fake guest, both ways, until both have ended. */
export async function fakeDial(guest: FakeGuest, channel: FakeChannel, request: Fields): Promise<void> {
  const server = guest.servers.get(request.number(DIAL.port) ?? request.needText(DIAL.unix))
  if (server === undefined) throw new CoveError('connection-refused', 'nobody listens there', { errno: 111 })
  const [ours, theirs] = memoryPair()
  server(theirs)
  channel.opened()
  const onDrop = (): void => {
    ours.destroy()
  }
  channel.signal.addEventListener('abort', onDrop, { once: true })
  const outward = (async () => {
    for await (const bytes of ours) await channel.send(STREAM.content, bytes as Buffer)
    channel.end()
  })()
  const inward = (async () => {
    for (;;) {
      const bytes = await channel.next()
      if (bytes === undefined) break
      if (!ours.write(bytes)) await once(ours, 'drain', { signal: channel.signal })
    }
    ours.end()
  })()
  try {
    await Promise.all([outward, inward])
  } finally {
    ours.destroy()
    await Promise.allSettled([outward, inward])
  }
}
