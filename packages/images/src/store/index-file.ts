import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CoveError, parseImageId, type ImageId } from '@cove/domain'
import { emptyState, type ImageRecord, type LayerRecord, type NameRecord, type State } from './records.ts'
import type { Step } from './step.ts'

const VERSION = 1
const FIX = 'Move the folder away to start without images; they are fetched again when they are asked for.'

/** The store's records in one file that is always whole. */
export class IndexFile {
  readonly #path: string
  readonly #step: Step

  constructor(path: string, step: Step) {
    this.#path = path
    this.#step = step
  }

  /** `store-corrupt` for what it never wrote, `store-too-new` for what a later Cove wrote. */
  async load(): Promise<State> {
    let text
    try {
      text = await readFile(this.#path, 'utf8')
    } catch (error) {
      if (isMissing(error)) return emptyState
      throw CoveError.from(error, 'io-error')
    }
    return parseState(text, this.#path)
  }

  /** On the disk when it resolves; the file before stays as it was when it rejects. */
  async save(state: State): Promise<void> {
    await writeWhole(this.#path, formatState(state), this.#step)
  }
}

/** Puts a file in place in one moment, on the disk when it resolves. */
export async function writeWhole(path: string, content: string | Uint8Array, step: Step): Promise<void> {
  const aside = `${path}.new`
  try {
    await step('open a file aside')
    await using file = await open(aside, 'w', 0o600)
    await step('write a file aside')
    await file.writeFile(content)
    await step('sync a file aside')
    await file.datasync()
    await step('rename a file into place')
    await rename(aside, path)
  } catch (error) {
    await rm(aside, { force: true }).catch(() => {})
    throw CoveError.from(error, 'io-error')
  }
  await step('sync the folder of a file')
  await syncFolder(dirname(path))
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r')
  await folder.sync()
}

function formatState(state: State): string {
  return `${JSON.stringify({
    version: VERSION,
    next: state.next,
    layers: [...state.layers.values()],
    images: [...state.images.values()],
    names: [...state.names].map(([name, record]) => ({ name, ...record })),
    pins: [...state.pins].map(([name, image]) => ({ name, image })),
  })}\n`
}

interface Written {
  readonly version: number
  readonly next: number
  readonly layers: readonly LayerRecord[]
  readonly images: readonly ImageRecord[]
  readonly names: readonly (NameRecord & { readonly name: string })[]
  readonly pins: readonly { readonly name: string; readonly image: ImageId }[]
}

/** The file is written by nobody else: what has its shape is taken for what it says. */
function parseState(text: string, path: string): State {
  try {
    const written = JSON.parse(text) as Written
    if (typeof written.version !== 'number') throw new TypeError('it has no version')
    if (written.version > VERSION) {
      throw new CoveError(
        'store-too-new',
        `the images in ${dirname(path)} were kept by a later version of Cove`,
        {},
        { fix: 'Use the Cove version that kept them, or a later one. They were left untouched.' },
      )
    }
    for (const image of written.images) parseImageId(image.info.id)
    return {
      next: written.next,
      layers: new Map(written.layers.map((layer) => [layer.number, layer])),
      images: new Map(written.images.map((image) => [image.info.id, image])),
      names: new Map(written.names.map(({ name, ...record }) => [name, record])),
      pins: new Map(written.pins.map(({ name, image }) => [name, image])),
    }
  } catch (cause) {
    if (cause instanceof CoveError && cause.code === 'store-too-new') throw cause
    throw new CoveError('store-corrupt', `the records of images in ${path} cannot be read`, {}, { cause, fix: FIX })
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
