import type { Duplex } from 'node:stream'
import type { Upgrade } from '../door.ts'
import { breakOff } from '../exchange.ts'
import { joinStreams } from '../join-streams.ts'
import { protocolsOf } from '../wants-upgrade.ts'
import type { Opened } from './access.ts'
import { noAnswer } from './forwarding.ts'
import type { GuestConnection } from './guest-connection.ts'
import { answerHeaders } from './headers.ts'
import type { ResponseHead } from './response-parser.ts'

export interface UpgradeErrand {
  readonly upgrade: Upgrade
  readonly opened: Opened
  /** Request line and headers, without `Connection`, `Upgrade`, framing and the empty line. */
  readonly head: string
  /** A connection that carries nothing else. */
  readonly connection: GuestConnection
  /** Ends what was opened. */
  readonly signal: AbortSignal
  readonly onTraffic: () => void
}

/**
 * Passes on a request for another protocol. When the server takes it, both connections become one; else its answer
 * is passed on, and the connection ends behind it.
 */
export function forwardUpgrade(errand: UpgradeErrand): Promise<void> {
  const { upgrade, opened, head, connection, signal, onTraffic } = errand
  const { request, socket } = upgrade
  const { stream } = connection
  const settled = Promise.withResolvers<void>()
  let answered = false
  const end = (): void => {
    connection.destroy()
    breakOff(socket)
  }
  const leave = (): void => {
    if (!answered || !stream.destroyed) connection.destroy()
    settled.resolve()
  }
  if (signal.aborted || socket.destroyed) {
    end()
    return Promise.resolve()
  }
  socket.once('close', leave)
  signal.addEventListener('abort', end, { once: true })
  stream.once('close', () => signal.removeEventListener('abort', end))
  onTraffic()
  const wanted = protocolsOf(request).join(', ')
  connection.ask(request.method ?? 'GET', `${head}connection: Upgrade\r\nupgrade: ${wanted}\r\n\r\n`, {
    head(answer) {
      answered = true
      if (answer.status === 101) {
        socket.off('close', leave)
        socket.write(`${answerHead(answer)}connection: Upgrade\r\nupgrade: ${upgradeOf(answer)}\r\n\r\n`, 'latin1')
        const other = connection.detach()
        // What came behind the answer is told first, in this same turn.
        queueMicrotask(() => joinStreams({ client: socket, guest: other, head: upgrade.head, signal, onTraffic }))
        settled.resolve()
        return
      }
      socket.write(`${answerHead(answer)}connection: close\r\n\r\n`, 'latin1')
    },
    body(bytes) {
      onTraffic()
      if (socket.write(bytes)) return
      stream.pause()
      socket.once('drain', () => stream.resume())
    },
    end() {
      finish(socket)
      connection.destroy()
      settled.resolve()
    },
    failed(error) {
      if (answered) breakOff(socket)
      else settled.reject(noAnswer(opened.address.port, error))
      settled.resolve()
    },
  })
  return settled.promise
}

function upgradeOf({ headers }: ResponseHead): string {
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at]?.toLowerCase() === 'upgrade') return headers[at + 1] ?? ''
  }
  return ''
}

function answerHead({ status, reason, headers, framing }: ResponseHead): string {
  const kept = answerHeaders(headers)
  let head = `HTTP/1.1 ${status} ${reason}\r\n`
  for (let at = 0; at < kept.length; at += 2) head += `${kept[at]}: ${kept[at + 1]}\r\n`
  // Without a length the end of the connection is the end of the answer.
  return framing.kind === 'length' ? `${head}content-length: ${framing.bytes}\r\n` : head
}

const LINGER_MS = 2_000

function finish(socket: Duplex): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(timer))
  socket.unpipe()
  socket.resume()
  socket.end()
}
