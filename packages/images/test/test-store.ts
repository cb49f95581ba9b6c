import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, mkdtempSync } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { FetchOptions, ImageStore, TemplateRoot } from '@cove/domain'
import { systemClock } from '@cove/domain/system'
import type { LayerTool } from '../src/store/layer-tool.ts'
import { openImageStore } from '../src/store/open-image-store.ts'
import type { ImageStoreInsides, ImageStoreOptions } from '../src/store/options.ts'

const run = promisify(execFile)

export const LAYERS_PROGRAM = resolve(import.meta.dirname, '../../../build/cove-layers')

/** Why no store can be tested here; undefined when one can. */
export function missingForStore(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root unpacks layers with their owners'
  if (!existsSync(LAYERS_PROGRAM)) return 'build/cove-layers is not built (tooling/build-layers.sh)'
  return undefined
}

/** A folder of its own, with one store after another in it. */
export class StorePlace implements AsyncDisposable {
  readonly folder: string
  readonly state: string

  constructor(folder = mkdtempSync(join(tmpdir(), 'cove-test-'))) {
    mkdirSync(folder, { recursive: true })
    this.folder = folder
    this.state = join(folder, 'images')
  }

  /** In memory where there is such a folder: a disk that many write to makes those wait who write often. */
  static fast(): StorePlace {
    return new StorePlace(existsSync('/dev/shm') ? mkdtempSync('/dev/shm/cove-test-') : undefined)
  }

  async open(options: Partial<ImageStoreOptions> = {}, insides: ImageStoreInsides = {}): Promise<ImageStore> {
    return await openImageStore(
      { folder: this.state, layersProgram: LAYERS_PROGRAM, clock: systemClock, ...options },
      insides,
    )
  }

  /** A folder with these files; a name that ends in `/` is a folder, and `-> x` a link. */
  tree(name: string, files: Readonly<Record<string, string>>): string {
    const root = join(this.folder, name)
    execFileSync('mkdir', ['-p', root])
    for (const [path, content] of Object.entries(files)) {
      const where = join(root, path)
      if (path.endsWith('/')) execFileSync('mkdir', ['-p', where])
      else if (content.startsWith('-> ')) execFileSync('ln', ['-sfn', content.slice(3), where])
      else execFileSync('sh', ['-c', 'mkdir -p "$(dirname "$1")"; printf %s "$2" > "$1"', 'sh', where, content])
    }
    return root
  }

  /** A tar archive of such a folder. */
  tar(name: string, files: Readonly<Record<string, string>>): string {
    const root = this.tree(`${name}.tree`, files)
    const path = join(this.folder, name)
    execFileSync('tar', ['--numeric-owner', '--owner=0', '--group=0', '--mtime=@1', '-C', root, '-cf', path, '.'])
    return path
  }

  /** Of everything that is below the store's folder. */
  names(under = ''): string[] {
    const listed = execFileSync('find', [
      join(this.state, under),
      '-mindepth',
      '1',
      '-maxdepth',
      '1',
      '-printf',
      '%f\n',
    ])
    return listed
      .toString()
      .split('\n')
      .filter((name) => name !== '')
      .toSorted()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

export const quietly = (signal = new AbortController().signal): FetchOptions => ({ signal, progress: () => {} })

export const fileStream = (path: string): AsyncIterable<Uint8Array> => createReadStream(path)

/** What a root looks like through a real overlay, in a mount namespace of its own: what the script prints. */
export async function inRoot(place: StorePlace, root: TemplateRoot, script: string): Promise<string> {
  if (root.kind !== 'layers') throw new Error('not a root of layers')
  const mount = join(place.folder, 'mount')
  await mkdir(mount, { recursive: true })
  const nothing = place.tree('nothing', {})
  const lower = [...root.lower, nothing].join(':')
  const inside = 'mount -t overlay -o "ro,lowerdir=$1" overlay "$2" && cd "$2" && eval "$3"'
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', inside, 'sh', lower, mount, script]
  const { stdout } = await run('unshare', args, { maxBuffer: 1 << 24 })
  return stdout.trim()
}

/** Answers the digest of what was written. */
export async function writeStream(path: string, stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  await using file = await open(path, 'w')
  for await (const chunk of stream) {
    hash.update(chunk)
    await file.write(chunk)
  }
  return hash.digest('hex')
}

/** Tells of every layer that is unpacked. */
export function counted(unpacked: () => void): (tool: LayerTool) => LayerTool {
  return (tool) => ({
    ...tool,
    unpack: async (request) => {
      unpacked()
      return await tool.unpack(request)
    },
  })
}

/** A store of its own, as on another node. */
export async function otherStore(
  { folder }: StorePlace,
  name: string,
): Promise<AsyncDisposable & { readonly place: StorePlace; readonly store: ImageStore }> {
  const place = new StorePlace(join(folder, `${name}.other`))
  const store = await place.open()
  return { place, store, [Symbol.asyncDispose]: async () => await store[Symbol.asyncDispose]() }
}
