import { shellStatus, type Exit } from '@cove/domain'

/** What is left of one stream: all of it, or its head and tail when it was longer than the limit. */
export interface CapturedOutput {
  readonly bytes: Uint8Array
  /** Bytes left out between head and tail. */
  readonly omitted: number
}

/** A command that has ended. */
export class RunResult {
  /** How it ended. */
  readonly exit: Exit
  /** True when the command's time limit ended it; the output until then is here. */
  readonly timedOut: boolean
  /** What it wrote, exactly; head and tail where `truncated`. */
  readonly stdoutBytes: Uint8Array
  readonly stderrBytes: Uint8Array
  /** Bytes left out in the middle of each. */
  readonly stdoutOmitted: number
  readonly stderrOmitted: number

  constructor(exit: Exit, timedOut: boolean, stdout: CapturedOutput, stderr: CapturedOutput) {
    this.exit = exit
    this.timedOut = timedOut
    this.stdoutBytes = stdout.bytes
    this.stderrBytes = stderr.bytes
    this.stdoutOmitted = stdout.omitted
    this.stderrOmitted = stderr.omitted
  }

  /** The code that it ended with by itself; null when it did not (see `exit`). */
  get exitCode(): number | null {
    return this.exit.kind === 'exited' ? this.exit.code : null
  }

  /** What a shell would show: the exit code, 128 + n for signal n, 137 for memory, 255 for unknown. */
  get status(): number {
    return shellStatus(this.exit)
  }

  /** True when it ended by itself with code 0. */
  get ok(): boolean {
    return this.exitCode === 0
  }

  /** As text; bytes that are not UTF-8 become U+FFFD. */
  get stdout(): string {
    return new TextDecoder().decode(this.stdoutBytes)
  }

  /** As text; bytes that are not UTF-8 become U+FFFD. */
  get stderr(): string {
    return new TextDecoder().decode(this.stderrBytes)
  }

  /** True when output was left out. */
  get truncated(): boolean {
    return this.stdoutOmitted > 0 || this.stderrOmitted > 0
  }
}
