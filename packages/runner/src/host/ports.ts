import { connect, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { CoveError } from '@cove/domain'

const LOOPBACK = '127.0.0.1'
const LOOK_MS = 25
const CONNECT_MS = 1_000

/** A port that nobody listens on at this moment. Another program may take it before you do. */
export function findFreePort(address = LOOPBACK): Promise<number> {
  return listenOnce(0, address)
}

/** Whether one could listen there now. */
export async function isPortFree(port: number, address = LOOPBACK): Promise<boolean> {
  checkPort(port)
  try {
    await listenOnce(port, address)
    return true
  } catch (error) {
    if (error instanceof CoveError && error.code === 'address-in-use') return false
    throw error
  }
}

export interface WaitForPort {
  /** Default loopback. */
  readonly address?: string
  /** Milliseconds. Default 5,000. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** Until something answers there. `deadline-exceeded` when nothing does. */
export function waitForPortBound(port: number, options: WaitForPort = {}): Promise<void> {
  const { address = LOOPBACK } = options
  return until(port, options, 'bound', (signal) => answers(port, address, signal))
}

/** Until it could be listened on. `deadline-exceeded` when it is not let go. */
export function waitForPortUnbound(port: number, options: WaitForPort = {}): Promise<void> {
  return until(port, options, 'unbound', () => isPortFree(port, options.address))
}

async function until(
  port: number,
  { timeoutMs = 5_000, signal }: WaitForPort,
  wanted: string,
  look: (signal: AbortSignal) => Promise<boolean>,
): Promise<void> {
  checkPort(port)
  const deadline = AbortSignal.timeout(timeoutMs)
  const ending = signal === undefined ? deadline : AbortSignal.any([deadline, signal])
  for (;;) {
    if (await look(ending)) return
    try {
      await delay(LOOK_MS, undefined, { signal: ending })
    } catch {
      if (signal?.aborted === true) throw CoveError.from(signal.reason, 'cancelled')
      throw new CoveError('deadline-exceeded', `port ${port} was not ${wanted} within ${timeoutMs} ms`, { port })
    }
  }
}

function answers(port: number, address: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: address, timeout: CONNECT_MS, signal })
    const settle = (answered: boolean): void => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('connect', () => settle(true))
    socket.once('timeout', () => settle(false))
    socket.once('error', () => settle(false))
  })
}

function listenOnce(port: number, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      const code = error.code === 'EADDRINUSE' ? 'address-in-use' : 'io-error'
      reject(new CoveError(code, `cannot listen on ${address}:${port}: ${error.message}`, { port }, { cause: error }))
    })
    server.listen({ port, host: address, exclusive: true }, () => {
      const bound = server.address()
      const found = typeof bound === 'object' && bound !== null ? bound.port : port
      server.close(() => resolve(found))
    })
  })
}

function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return
  throw new CoveError('invalid-argument', 'a port is a whole number from 1 to 65535', { port })
}
