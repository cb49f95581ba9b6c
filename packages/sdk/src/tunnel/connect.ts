import type { Duplex } from 'node:stream'
import { CoveError } from '@cove/domain'
import type { Rpc } from '../wire/rpc.ts'
import { dialPort } from './dial.ts'
import type { ConnectOptions, PortConnection } from './types.ts'

/** Arrived and not taken yet; beyond it the socket is not read. */
const QUEUE_BYTES = 256 * 1024

export async function connectPort(
  rpc: Rpc,
  sandbox: string,
  port: number,
  options: ConnectOptions,
): Promise<PortConnection> {
  const socket = await dialPort(rpc, sandbox, port, options)
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
  })
  const close = (): void => void socket.destroy()
  return {
    readable: readableOf(socket),
    writable: writableOf(socket),
    closed,
    close,
    async [Symbol.asyncDispose]() {
      close()
      await closed
    },
  }
}

/** Node's own adapter holds back the end of one direction until the other has ended too, up to Node 22. */
function readableOf(socket: Duplex): ReadableStream<Uint8Array> {
  let over = false
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        socket.on('data', (chunk: Uint8Array) => {
          if (over) return
          controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength))
          if ((controller.desiredSize ?? 0) <= 0) socket.pause()
        })
        socket.once('end', () => {
          if (!over) controller.close()
          over = true
        })
        socket.once('close', () => {
          if (!over) controller.error(broken(socket))
          over = true
        })
      },
      pull() {
        socket.resume()
      },
      // Read on for nobody, so that the end is still noticed.
      cancel() {
        over = true
        socket.resume()
      },
    },
    { highWaterMark: QUEUE_BYTES, size: (chunk) => chunk?.byteLength ?? 0 },
  )
}

function writableOf(socket: Duplex): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    start(controller) {
      socket.once('close', () => {
        if (!socket.writableFinished) controller.error(broken(socket))
      })
    },
    write(chunk) {
      if (socket.destroyed) throw broken(socket)
      if (!socket.write(chunk)) return takenOrClosed(socket)
      return undefined
    },
    close() {
      return new Promise((resolve, reject) => {
        socket.once('close', () => reject(broken(socket)))
        socket.end(() => resolve())
      })
    },
    abort() {
      socket.destroy()
    },
  })
}

function takenOrClosed(socket: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    const drained = () => {
      socket.off('close', closed)
      resolve()
    }
    const closed = () => {
      socket.off('drain', drained)
      reject(broken(socket))
    }
    socket.once('drain', drained)
    socket.once('close', closed)
  })
}

function broken(socket: Duplex): CoveError {
  const cause = socket.errored
  return new CoveError('connection-lost', 'the connection to the port is closed', {}, cause === null ? {} : { cause })
}
