/** A line of output without its line end. */
export interface Line {
  readonly stream: 'stdout' | 'stderr'
  readonly text: string
  /**
   * True for a piece of a line that is longer than what is kept in memory (`LONGEST_LINE_BYTES`): the rest follows in the
   * next `Line` of the stream.
   */
  readonly continued: boolean
}

/** A line up to this many bytes comes whole; an endless one costs no more memory than this. */
export const LONGEST_LINE_BYTES = 16 * 1024 * 1024
