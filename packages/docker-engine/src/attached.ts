import type { Duplex } from 'node:stream'
import { CoveError } from '@cove/domain'
import { demultiplex, type EngineStream } from './stdcopy.ts'

/** The stdin, stdout and stderr of a process in a container. */
export interface Attached extends Disposable {
  /** Ends with the process's output. With a terminal everything is `stdout`. */
  readonly output: AsyncIterable<EngineStream>
  /** Waits while the process does not read. */
  write(data: Uint8Array): Promise<void>
  closeStdin(): void
}

export function attached(socket: Duplex, terminal: boolean): Attached {
  // The reader of the output is told; nobody else has to be.
  socket.on('error', () => undefined)
  return {
    output: terminal ? asStdout(bytesOf(socket)) : demultiplex(bytesOf(socket)),
    write(data) {
      return new Promise((resolve, reject) => {
        socket.write(data, (error) => (error === null || error === undefined ? resolve() : reject(error)))
      })
    },
    closeStdin() {
      socket.end()
    },
    [Symbol.dispose]() {
      socket.destroy()
    },
  }
}

async function* bytesOf(socket: Duplex): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) yield chunk
  } catch (cause) {
    throw new CoveError('connection-lost', 'the connection to the Docker Engine broke off', {}, { cause })
  }
}

/** Output of a terminal, which has one stream. */
export async function* asStdout(source: AsyncIterable<Buffer>): AsyncGenerator<EngineStream> {
  for await (const data of source) yield { stream: 'stdout', data }
}
