/** Numbers of the frame types on the wire. */
export const FRAME = {
  pad: 0,
  hello: 1,
  welcome: 2,
  open: 3,
  opened: 4,
  data: 5,
  end: 6,
  credit: 7,
  event: 8,
  close: 9,
  ping: 10,
  pong: 11,
} as const
export type FrameType = (typeof FRAME)[keyof typeof FRAME]

/** Numbers of the streams of one channel, carried in the flags of `data` and `end`. */
export const STREAM = { content: 0, stdout: 1, stderr: 2, terminal: 3 } as const
export type StreamNumber = (typeof STREAM)[keyof typeof STREAM]

/** Bytes before every payload. */
export const HEADER_BYTES = 12
/** Largest payload of one frame, in bytes. */
export const MAX_PAYLOAD = 262_144
/** Largest payload of `ping` and `pong`, in bytes. */
export const MAX_PING = 64
/** Largest channel number and largest amount in one `credit`. */
export const MAX_U32 = 0xffff_ffff
