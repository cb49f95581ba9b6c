/** The peer, or the caller of a writer, broke the rules of the frame protocol. The message never carries content. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}
