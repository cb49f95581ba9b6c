import type { Readable, Writable } from 'node:stream'
import type { Exit } from '@cove/domain'
import type { Line } from './line.ts'
import type { StopOptions } from './runner-environment.ts'

/**
 * One process of an environment. What it is to be is said before its start (`wrong-state` afterwards); it is started
 * once. Closing it (`await using`) stops it. It ends with the program that started it, however that ends.
 */
export interface Proc extends AsyncDisposable {
  /** Absolute, or relative to the environment's directory. */
  withDirectory(directory: string): this
  /** Goes before the environment's. */
  withEnvironment(variables: Readonly<Record<string, string>>): this
  /** Puts `value` behind what the variable would have otherwise, with the separator between when there is something. */
  withEnvironmentAppended(name: string, value: string, separator: string): this
  /**
   * Every line of both streams, whole and in the order of each stream, as it comes. A sink that waits makes the process
   * wait; one that throws or rejects is not called again, and the process goes on.
   */
  withOutput(sink: (line: Line) => void | Promise<void>): this
  /**
   * The program that does the work, when what is started only launches it and ends: the process has ended when both have,
   * and `stop` ends both. By its exact name.
   */
  withWaitOn(program: string): this
  /**
   * The process's stdin. Without this call it is empty. Once, and before the start.
   */
  stdinPipe(): Writable
  /**
   * The raw bytes of stdout, which then go to no sink; they can still be read when the process has ended. `Readable.toWeb`
   * makes a web stream of it. Once, and before the start.
   */
  stdoutPipe(): Readable

  /** Resolves when it runs. `command-not-found`, `path-invalid` for a directory that is not there, … */
  start(signal?: AbortSignal): Promise<void>
  /**
   * Starts it, and answers when it has ended and its output is all there. When the signal aborts, its group is asked to
   * end, then forced, and the call fails with `cancelled`.
   */
  run(signal?: AbortSignal): Promise<Exit>
  /**
   * How it ended: one shared answer for every caller, after the last line of output. Output that something it has left
   * running keeps open is waited for a short time only. Never rejects because of how it ended. `wrong-state` before the
   * start; after a start that failed, its error.
   */
  wait(): Promise<Exit>
  /**
   * TERM to the whole group, KILL after the grace; answers how it ended. Before the start: it will never start. Twice and
   * at the same time: the same answer, after the shortest grace. Output that nobody has taken 5 s later is thrown away.
   */
  stop(options?: StopOptions): Promise<Exit | undefined>
  isRunning(): Promise<boolean>
  /** On this machine; undefined before the start and after the end. */
  readonly pid: number | undefined
  /**
   * Lines from now on, until the process ends. The slowest reader sets the pace: one that is neither read nor left makes
   * the process wait when a mebibyte has come.
   */
  lines(): AsyncIterable<Line>
}
