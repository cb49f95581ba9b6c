import { Duplex } from 'node:stream'
import type { ReadableStream as NodeReadable, WritableStream as NodeWritable } from 'node:stream/web'
import type { Rpc } from '../wire/rpc.ts'
import { dialPort } from './dial.ts'
import type { ConnectOptions, PortConnection } from './types.ts'

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
  const { readable, writable }: { readable: NodeReadable; writable: NodeWritable } = Duplex.toWeb(socket)
  const close = (): void => void socket.destroy()
  return {
    readable: readable as ReadableStream<Uint8Array>,
    writable: writable as WritableStream<Uint8Array>,
    closed,
    close,
    async [Symbol.asyncDispose]() {
      close()
      await closed
    },
  }
}
