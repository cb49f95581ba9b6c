/** Whoever read stdout has gone. Nothing is said about it, as everywhere on Unix; the status is 128 + SIGPIPE. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed'
  static readonly status = 141
}
