import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError, type Clock } from '@cove/domain'
import { throwIfAborted } from '../wait.ts'

export interface ContextLimits {
  /** Of one archive. */
  readonly bytes: number
  /** Of all together. */
  readonly totalBytes: number
  /** Milliseconds after the last use. */
  readonly keptMs: number
}

export const CONTEXT_LIMITS: ContextLimits = {
  bytes: 4 * 1024 ** 3,
  totalBytes: 16 * 1024 ** 3,
  keptMs: 24 * 3_600_000,
}

/** Archives that are received at once. */
const AT_ONCE = 8

const DIGEST = /^sha256:([0-9a-f]{64})$/

/** Build contexts by their content: tar archives that nobody looks into before a build does. */
export class Contexts {
  readonly #folder: string
  readonly #clock: Clock
  readonly #limits: ContextLimits
  readonly #held = new Map<string, number>()
  /** Archives that are being received: what they take so far counts for nobody yet. */
  #receiving = 0

  private constructor(folder: string, clock: Clock, limits: ContextLimits) {
    this.#folder = folder
    this.#clock = clock
    this.#limits = limits
  }

  /** Opens the folder; what an earlier daemon has half received goes. */
  static async open(folder: string, clock: Clock, limits = CONTEXT_LIMITS): Promise<Contexts> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const name of await readdir(folder)) {
      if (name.endsWith('.part')) await rm(join(folder, name), { force: true })
    }
    const contexts = new Contexts(folder, clock, limits)
    await contexts.#collect(0)
    return contexts
  }

  async has(digest: string): Promise<boolean> {
    return await this.#use(hexOf(digest))
  }

  async put(digest: string, tar: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const hex = hexOf(digest)
    if (await this.#use(hex)) return
    if (this.#receiving >= AT_ONCE) {
      throw new CoveError('busy', `${AT_ONCE} build contexts are being received already`, { limit: AT_ONCE })
    }
    this.#receiving++
    const part = join(this.#folder, `${hex}.${randomBytes(8).toString('hex')}.part`)
    try {
      const bytes = await this.#receive(part, digest, tar, signal)
      await this.#collect(bytes)
      await rename(part, join(this.#folder, hex))
      await this.#use(hex)
    } finally {
      this.#receiving--
      await rm(part, { force: true })
    }
  }

  /** Keeps it from being collected until it is disposed. `invalid-argument` when it is not here. */
  async hold(digest: string): Promise<Disposable> {
    const hex = hexOf(digest)
    this.#held.set(hex, (this.#held.get(hex) ?? 0) + 1)
    const release = (): void => {
      const left = (this.#held.get(hex) ?? 1) - 1
      if (left > 0) this.#held.set(hex, left)
      else this.#held.delete(hex)
    }
    if (!(await this.#use(hex))) {
      release()
      throw new CoveError(
        'invalid-argument',
        `the build context ${digest} is not here`,
        { field: 'context' },
        { fix: 'Send it again with PUT /v1/template-contexts/<digest>; contexts are kept for a day.' },
      )
    }
    return { [Symbol.dispose]: release }
  }

  /** Only while it is held. */
  read(digest: string): AsyncIterable<Uint8Array> {
    return createReadStream(join(this.#folder, hexOf(digest)))
  }

  async #receive(path: string, digest: string, tar: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<number> {
    const hash = createHash('sha256')
    let bytes = 0
    const file = await open(path, 'wx', 0o600)
    try {
      for await (const chunk of tar) {
        throwIfAborted(signal)
        bytes += chunk.length
        if (bytes > this.#limits.bytes) {
          const most = this.#limits.bytes
          throw new CoveError(
            'payload-too-large',
            `a build context has at most ${most} bytes`,
            { limit: most },
            {
              fix: 'Leave out what the build does not need, with a file `.coveignore`.',
            },
          )
        }
        hash.update(chunk)
        await file.writeFile(chunk)
      }
    } finally {
      await file.close()
    }
    throwIfAborted(signal)
    const got = `sha256:${hash.digest('hex')}`
    if (got !== digest) {
      throw new CoveError('invalid-argument', `these bytes are ${got}, not ${digest}`, { field: 'digest' })
    }
    return bytes
  }

  async #use(hex: string): Promise<boolean> {
    try {
      const now = this.#clock.now() / 1000
      await utimes(join(this.#folder, hex), now, now)
      return true
    } catch {
      return false
    }
  }

  /** Removes what is too old, and of the rest the longest unused, until there is room for this many bytes more. */
  async #collect(room: number): Promise<void> {
    const now = this.#clock.now()
    const kept: { readonly name: string; readonly bytes: number; readonly usedAt: number }[] = []
    for (const name of await readdir(this.#folder)) {
      if (name.includes('.') || this.#held.has(name)) continue
      try {
        const { size, mtimeMs } = await stat(join(this.#folder, name))
        kept.push({ name, bytes: size, usedAt: mtimeMs })
      } catch {
        // Another call has removed it.
      }
    }
    kept.sort((one, other) => one.usedAt - other.usedAt)
    let total = kept.reduce((sum, { bytes }) => sum + bytes, room)
    for (const { name, bytes, usedAt } of kept) {
      if (total <= this.#limits.totalBytes && now - usedAt <= this.#limits.keptMs) continue
      await rm(join(this.#folder, name), { force: true })
      total -= bytes
    }
  }
}

export function hexOf(digest: string): string {
  const hex = DIGEST.exec(digest)?.[1]
  if (hex === undefined) {
    throw new CoveError('invalid-argument', 'a digest is sha256: and 64 lowercase hex digits', { field: 'digest' })
  }
  return hex
}
