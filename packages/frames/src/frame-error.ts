/**
 * Which rule was broken. The first five are of a header, the next four of fields; `preamble` is of a greeting,
 * `meaning` of a frame that is well formed and says something that cannot be.
 */
export type FrameErrorReason =
  | 'reserved'
  | 'type'
  | 'length'
  | 'flags'
  | 'channel'
  | 'cut'
  | 'number'
  | 'truth'
  | 'text'
  | 'missing'
  | 'preamble'
  | 'meaning'

/** The peer, or the caller of a writer, broke the rules of the frame protocol. The message never carries content. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
  readonly reason: FrameErrorReason

  constructor(message: string, reason: FrameErrorReason = 'meaning') {
    super(message)
    this.reason = reason
  }
}
