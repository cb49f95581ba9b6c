import { FrameError } from './frame-error.ts'
import { FRAME, HEADER_BYTES, MAX_PAYLOAD, MAX_U32, type FrameType, type StreamNumber } from './frame-types.ts'

const NOTHING = Buffer.alloc(0)

/** Writes the 12 bytes of a header at `at`. */
export function writeHeader(
  target: Buffer,
  at: number,
  length: number,
  type: FrameType,
  flags: number,
  channel: number,
): void {
  if (!(length >= 0 && length <= MAX_PAYLOAD))
    throw new FrameError(`a payload of ${length} bytes is over the limit`, 'length')
  if (!(channel >= 0 && channel <= MAX_U32)) throw new FrameError('a channel number is not a u32', 'channel')
  target.writeUInt32BE(length, at)
  target[at + 4] = type
  target[at + 5] = flags
  target[at + 6] = 0
  target[at + 7] = 0
  target.writeUInt32BE(channel, at + 8)
}

/** A whole frame in one buffer, the payload copied: for control frames. `flags` is the stream number of `end`. */
export function encodeFrame(
  type: FrameType,
  channel: number,
  payload: Uint8Array = NOTHING,
  flags: StreamNumber = 0,
): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length)
  writeHeader(frame, 0, payload.length, type, flags, channel)
  frame.set(payload, HEADER_BYTES)
  return frame
}

/** Only the header of a `data` frame: the payload of `length` bytes is written behind it without a copy. */
export function encodeDataHeader(channel: number, stream: StreamNumber, length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  writeHeader(header, 0, length, FRAME.data, stream, channel)
  return header
}

export function encodeCredit(channel: number, bytes: number): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + 4)
  writeHeader(frame, 0, 4, FRAME.credit, 0, channel)
  frame.writeUInt32BE(bytes, HEADER_BYTES)
  return frame
}
