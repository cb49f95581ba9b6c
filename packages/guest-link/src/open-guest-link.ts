import { CoveError } from '@cove/domain'
import type { GuestLink, GuestLinkOptions } from './guest-link.ts'
import { Link } from './link.ts'
import { Sessions } from './sessions.ts'
import { TOKEN_BYTES } from './wire/tags.ts'

/**
 * Connects to a guest agent and greets it. Rejects with `guest-unreachable` after a few attempts, with
 * `stale-session`, `unauthenticated` or `unsupported` when the guest says so, with `guest-protocol` when it speaks
 * something else, and with `cancelled` when the signal aborts; the signal matters only until the link is open.
 */
export async function openGuestLink(options: GuestLinkOptions): Promise<GuestLink> {
  if (options.token.length !== TOKEN_BYTES) {
    throw new CoveError('invalid-argument', `a guest token has ${TOKEN_BYTES} bytes`, { field: 'token' })
  }
  const sessions = new Sessions(options)
  try {
    const { welcome } = await sessions.get(options.signal)
    return new Link(sessions, welcome)
  } catch (error) {
    sessions.close()
    throw error
  }
}
