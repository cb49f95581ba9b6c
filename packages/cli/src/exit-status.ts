/** What the process ends with. `run`, `exec` and `shell` pass on their command's own status instead. */
export const STATUS = {
  ok: 0,
  failure: 1,
  /** The command line itself was wrong. */
  usage: 2,
  /** The command inside ran longer than its `--timeout`. */
  timedOut: 124,
  /** The program inside may not be run. */
  notExecutable: 126,
  /** The program is not there. */
  notFound: 127,
} as const
