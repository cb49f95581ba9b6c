import { FileService, type WatchFilesRequestSchema } from '@cove/api'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { CoveError, type FileEvent } from '@cove/domain'
import { fileEvent } from './convert/file.ts'
import { Reconnect } from './wire/reconnect.ts'
import type { Rpc } from './wire/rpc.ts'
import { noticingSilence } from './wire/silence.ts'

/**
 * Watches over any number of connections. Each begins with an `overflow`: the first says that the watch stands, any
 * other stands behind changes that nobody was told of.
 */
export async function* watchFiles(
  rpc: Rpc,
  request: MessageInitShape<typeof WatchFilesRequestSchema>,
  signal: AbortSignal | undefined,
): AsyncGenerator<FileEvent> {
  const line = new Reconnect(rpc.parts, signal)
  let stood = false
  for (;;) {
    try {
      line.begin()
      const open = (both: AbortSignal) => rpc.stream(FileService.method.watchFiles, request, both)
      for await (const { event } of noticingSilence(rpc.parts, signal, open)) {
        if (event.case === 'ready') {
          stood = true
          yield { type: 'overflow' }
        } else if (event.case === 'overflow') {
          yield { type: 'overflow' }
        } else if (event.case === 'change') {
          line.moved()
          const change = fileEvent(event.value)
          if (change !== undefined) yield change
        }
      }
      throw new CoveError('connection-lost', 'the watch ended')
    } catch (thrown) {
      await line.failed(thrown, stood ? rpc.reconnect : rpc.policy)
    }
  }
}
