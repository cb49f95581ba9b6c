import { appendFile, mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface LoggedStep {
  readonly index: number
  readonly text: string
  readonly cached: boolean
  /** How long the log was when the step began. */
  readonly at: number
}

export interface LogLimits {
  readonly bytes: number
}

export const LOG_LIMITS: LogLimits = { bytes: 16 * 1024 * 1024 }

const STEPS = 1024

/** What one build has said, in a file that only grows, and where in it each step began, in another. */
export class BuildLog {
  readonly #path: string
  readonly #limits: LogLimits
  readonly #steps: LoggedStep[] = []
  readonly #waiting = new Set<() => void>()
  #size = 0
  #full = false
  #tail: Promise<void> = Promise.resolve()

  private constructor(path: string, limits: LogLimits) {
    this.#path = path
    this.#limits = limits
  }

  /** An empty one; what was there before goes. */
  static async create(path: string, limits = LOG_LIMITS): Promise<BuildLog> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await BuildLog.remove(path)
    const log = new BuildLog(path, limits)
    await appendFile(log.#path, '', { mode: 0o600 })
    return log
  }

  /** One that an earlier daemon has left; what is missing of it counts as empty. */
  static async load(path: string, limits = LOG_LIMITS): Promise<BuildLog> {
    const log = new BuildLog(path, limits)
    log.#size = await sizeOf(path)
    log.#full = true
    for (const line of (await readFile(stepsOf(path), 'utf8').catch(() => '')).split('\n')) {
      const step = parseStep(line)
      // A daemon that was killed may have told of more than it had written.
      if (step !== undefined && log.#steps.length < STEPS)
        log.#steps.push({ ...step, at: Math.min(step.at, log.#size) })
    }
    return log
  }

  static async remove(path: string): Promise<void> {
    await rm(path, { force: true })
    await rm(stepsOf(path), { force: true })
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size
  }

  get steps(): readonly LoggedStep[] {
    return this.#steps
  }

  /** Resolves when it is written. Beyond the limit one note is written, and then nothing any more. */
  append(text: string): Promise<void> {
    if (text === '') return Promise.resolve()
    return this.#inTurn(async () => {
      if (this.#full) return
      let bytes = Buffer.from(text)
      if (this.#size + bytes.length > this.#limits.bytes) {
        this.#full = true
        const kept = bytes.subarray(0, wholeCharacters(bytes.subarray(0, this.#limits.bytes - this.#size)))
        bytes = Buffer.concat([
          kept,
          Buffer.from(`\n[the log is longer than ${this.#limits.bytes} bytes; the rest is left out]\n`),
        ])
      }
      await appendFile(this.#path, bytes, { mode: 0o600 })
      this.#size += bytes.length
      this.#wake()
    })
  }

  step(index: number, text: string, cached: boolean): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#steps.length >= STEPS) return
      const step = { index, text, cached, at: this.#size }
      await appendFile(stepsOf(this.#path), `${JSON.stringify(step)}\n`, { mode: 0o600 })
      this.#steps.push(step)
      this.#wake()
    })
  }

  /** Whole characters from an offset on, at most this many bytes; empty at the end. */
  async read(offset: number, bytes: number): Promise<Buffer> {
    const file = await open(this.#path, 'r')
    try {
      const chunk = Buffer.alloc(Math.min(bytes, Math.max(0, this.#size - offset)))
      const { bytesRead } = await file.read(chunk, 0, chunk.length, offset)
      const read = chunk.subarray(0, bytesRead)
      const whole = wholeCharacters(read)
      return whole === 0 ? read : read.subarray(0, whole)
    } finally {
      await file.close()
    }
  }

  /** Resolves at the next change, or when the signal aborts. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      if (signal.aborted) return done()
      this.#waiting.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }

  /** Tells everybody who waits to look again. */
  touch(): void {
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#tail.then(work)
    this.#tail = turn.catch(() => {})
    return turn
  }
}

const stepsOf = (path: string): string => `${path}.steps`

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch {
    return 0
  }
}

function parseStep(line: string): LoggedStep | undefined {
  try {
    const step: unknown = JSON.parse(line)
    if (typeof step !== 'object' || step === null) return undefined
    const { index, text, cached, at } = step as Record<string, unknown>
    if (
      typeof index !== 'number' ||
      typeof text !== 'string' ||
      typeof cached !== 'boolean' ||
      typeof at !== 'number'
    ) {
      return undefined
    }
    return { index, text, cached, at }
  } catch {
    return undefined
  }
}

/** How many of these bytes are whole characters of UTF-8: the last one may have been cut. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if ((byte & 0xc0) === 0x80) continue
    const needed = byte < 0x80 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
    return needed > back ? bytes.length - back : bytes.length
  }
  return bytes.length
}
