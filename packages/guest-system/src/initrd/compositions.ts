import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CoveError } from '@cove/domain'
import type { StoredKernel } from '../store/kernel-store.ts'
import { compose, isThere, keepYoung, type BootPrograms, type Composition } from './compose.ts'

const TOUCH_MS = 3_600_000

interface Known {
  /** What tells whether a file behind it was replaced. */
  readonly stamp: string
  readonly made: Promise<Composition>
  touched: number
}

/** Remembers what was composed, so that a VM waits for a few `stat` only. */
export class Compositions {
  readonly #root: string
  readonly #programs: BootPrograms
  #known: Known | undefined

  constructor(root: string, programs: BootPrograms) {
    this.#root = root
    this.#programs = programs
  }

  async of(kernel: StoredKernel): Promise<Composition> {
    const { bootProgram, guestProgram, layersProgram } = this.#programs
    const image = join(kernel.folder, kernel.manifest.image.name)
    const files = await Promise.all([image, bootProgram, guestProgram, layersProgram].map(stampOf))
    const stamp = [kernel.id, ...files].join('\n')
    const known = this.#known
    if (known?.stamp === stamp && (await isThere(await known.made))) {
      await this.#touch(known)
      return await known.made
    }
    const next = { stamp, made: this.#make(kernel, image), touched: Date.now() }
    this.#known = next
    next.made.catch(() => {
      if (this.#known === next) this.#known = undefined
    })
    return await next.made
  }

  async #make(kernel: StoredKernel, image: string): Promise<Composition> {
    await checkDigest(image, kernel.manifest.image.digest)
    return await compose(this.#root, kernel, this.#programs)
  }

  async #touch(known: Known): Promise<void> {
    if (Date.now() - known.touched < TOUCH_MS) return
    known.touched = Date.now()
    await keepYoung(await known.made)
  }
}

async function stampOf(path: string): Promise<string> {
  // What is missing is told by who reads it.
  const found = await stat(path).catch(() => undefined)
  return found === undefined ? 'missing' : [found.dev, found.ino, found.size, found.mtimeMs].join(' ')
}

async function checkDigest(path: string, digest: string): Promise<void> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash).catch((cause: unknown) => {
    throw new CoveError('kernel-invalid', 'the image of the kernel cannot be read', {}, { cause })
  })
  if (hash.digest('hex') !== digest) throw new CoveError('kernel-invalid', 'the image of the kernel is damaged')
}
