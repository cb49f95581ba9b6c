import { CoveError } from '@cove/domain'
import type { CallAuditor } from '../../audit/call-auditor.ts'
import { unauthenticated } from '../../auth/credentials.ts'
import { requireRole } from '../../auth/principal.ts'
import type { Ports } from '../../ports/ports.ts'
import type { Upgrade } from '../door.ts'
import { joinStreams } from '../join-streams.ts'
import { StatusError } from '../json-error.ts'

/** What `Upgrade` has to name. */
export const TUNNEL = 'cove-tcp'

interface TunnelParts {
  readonly ports: Ports
  readonly auditor: CallAuditor
  readonly closing: AbortSignal
}

/**
 * Turns the connection into one to a port of the sandbox: after the 101 every byte is the port's, in both
 * directions, and the end of each direction is passed on by itself. It ends with the sandbox, the key and the server.
 */
export async function openTunnel(upgrade: Upgrade, ref: string, port: number, parts: TunnelParts): Promise<void> {
  const { request, socket, head, requestId, from, principal } = upgrade
  const { ports, auditor, closing } = parts
  if (principal === undefined) throw unauthenticated()
  if (request.method !== 'GET' || !asksFor(request.headers.upgrade)) {
    const fix = `Send a GET with "Upgrade: ${TUNNEL}".`
    throw new StatusError(426, new CoveError('unsupported', `the only upgrade here is to ${TUNNEL}`, {}, { fix }))
  }
  const gone = new AbortController()
  const leave = (): void => gone.abort(new CoveError('cancelled', 'the client went away'))
  socket.once('close', leave)
  const signals = [gone.signal, closing, ...(principal.ended === undefined ? [] : [principal.ended])]
  const signal = AbortSignal.any(signals)
  const facts = { port: String(port) }
  const note = auditor.onSandbox('ports/open', ref, facts, { caller: principal, requestId, from })
  try {
    requireRole(principal, 'member')
    const { stream, touch } = await ports.connect(principal, ref, port, signal)
    socket.off('close', leave)
    note.ok({})
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${TUNNEL}\r\nx-request-id: ${requestId}\r\n\r\n`,
    )
    joinStreams({ client: socket, guest: stream, head, signal, onTraffic: touch })
  } catch (error) {
    note.failed(error)
    throw error
  }
}

function asksFor(upgrade: string | undefined): boolean {
  return (upgrade ?? '').split(',').some((one) => one.trim().toLowerCase() === TUNNEL)
}
