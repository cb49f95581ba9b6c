import { create, toBinary, type MessageInitShape } from '@bufbuild/protobuf'
import { ProcessEventSchema } from '@cove/api'

const STREAMS = { stdout: 1, stderr: 2, terminal: 3 } as const

export function outputFrame(stream: keyof typeof STREAMS, offset: number, data: Uint8Array): Uint8Array {
  return frame(1, STREAMS[stream], offset, data)
}

export function eventFrame(event: MessageInitShape<typeof ProcessEventSchema>['event']): Uint8Array {
  return frame(2, 0, 0, toBinary(ProcessEventSchema, create(ProcessEventSchema, event === undefined ? {} : { event })))
}

export function errorFrame(error: object): Uint8Array {
  return frame(3, 0, 0, Buffer.from(JSON.stringify(error)))
}

export function frame(kind: number, stream: number, offset: number, data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(12 + data.byteLength)
  bytes[0] = kind
  bytes[1] = stream
  bytes.writeUIntBE(offset, 2, 6)
  bytes.writeUInt32BE(data.byteLength, 8)
  bytes.set(data, 12)
  return bytes
}
