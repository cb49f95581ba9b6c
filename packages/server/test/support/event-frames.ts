import { fromBinary } from '@bufbuild/protobuf'
import { ProcessEventSchema } from '@cove/api'

export type Frame =
  | { readonly kind: 'output'; readonly stream: number; readonly offset: number; readonly data: Buffer }
  | { readonly kind: 'event'; readonly case: string | undefined }
  | { readonly kind: 'error'; readonly code: string }

/** Reads a whole event stream, as docs/api.md describes it. */
export function parseFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at < bytes.length;) {
    const kind = bytes.readUInt8(at)
    const stream = bytes.readUInt8(at + 1)
    const offset = bytes.readUIntBE(at + 2, 6)
    const length = bytes.readUInt32BE(at + 8)
    const body = bytes.subarray(at + 12, at + 12 + length)
    if (body.length !== length) throw new Error('the stream was cut inside a frame')
    if (kind === 1) frames.push({ kind: 'output', stream, offset, data: body })
    else if (kind === 2) frames.push({ kind: 'event', case: fromBinary(ProcessEventSchema, body).event.case })
    else frames.push({ kind: 'error', code: (JSON.parse(body.toString()) as { code: string }).code })
    at += 12 + length
  }
  return frames
}
