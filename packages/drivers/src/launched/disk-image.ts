import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CoveError } from '@cove/domain'

const run = promisify(execFile)

/** Folders of an overlay's writable side, for `/` and for `/usr`. */
export const LAYER_FOLDERS = ['ru', 'rw', 'uu', 'uw'] as const

const MKFS = ['/usr/sbin/mkfs.ext4', '/sbin/mkfs.ext4', '/usr/bin/mkfs.ext4', '/usr/local/sbin/mkfs.ext4']
const PIECE = 1024 * 1024
const BLOCK = 16 * 1024
/** Formatted images kept for cloning, newest last. */
const MAX_KEPT = 8

/** `plain`: for the host to mount, of one machine's life. `journaled`: for a machine's own kernel, whenever that ends. */
export type DiskFormat = 'plain' | 'journaled'

const BLOCK_BYTES = 4096
const GROUP_BYTES = 128 * 1024 * 1024
const INODE_BYTES = 256
const JOURNAL_MIB = 4
const BYTES_PER_INODE = 32 * 1024
const MIN_INODES = 2048
/** More would take seconds to make. */
const MAX_INODES = 1024 * 1024

const OPTIONS = {
  // No journal: what a machine writes need not survive the host's crash better than its own processes do.
  plain: () => ['-O', '^has_journal', '-E', 'nodiscard,lazy_itable_init=1'],
  // All that is written is at the beginning, and nothing is left for the machine's kernel to fill with zeros.
  journaled: (bytes: number) => [
    '-b',
    `${BLOCK_BYTES}`,
    '-I',
    `${INODE_BYTES}`,
    '-N',
    `${inodesOf(bytes)}`,
    '-J',
    `size=${JOURNAL_MIB}`,
    '-O',
    'has_journal,extent,flex_bg,sparse_super2,^resize_inode',
    '-E',
    'nodiscard,lazy_itable_init=0,lazy_journal_init=0,packed_meta_blocks=1,num_backup_sb=0,root_owner=0:0',
  ],
} as const

const inodesOf = (bytes: number): number =>
  Math.min(MAX_INODES, Math.max(MIN_INODES, Math.floor(bytes / BYTES_PER_INODE)))

/** Where the metadata of a journaled disk end: tables of inodes, two maps and a descriptor for each group, the journal, and as much again. */
function metadataBytes(bytes: number): number {
  const groups = Math.ceil(bytes / GROUP_BYTES)
  return inodesOf(bytes) * INODE_BYTES + groups * 3 * BLOCK_BYTES + 2 * JOURNAL_MIB * 1024 * 1024 + 8 * 1024 * 1024
}

interface Extent {
  readonly at: number
  readonly data: Uint8Array
}

/** Makes disk images of a size by copying the few blocks that a fresh file system consists of. */
export class DiskImages {
  readonly #folder: string
  readonly #mkfs: string
  readonly #format: DiskFormat
  readonly #formatted = new Map<number, Promise<readonly Extent[]>>()

  private constructor(folder: string, mkfs: string, format: DiskFormat) {
    this.#folder = folder
    this.#mkfs = mkfs
    this.#format = format
  }

  /** Undefined where there is no mkfs.ext4. */
  static async open(folder: string, format: DiskFormat = 'plain'): Promise<DiskImages | undefined> {
    for (const mkfs of MKFS) {
      const found = await access(mkfs, constants.X_OK).then(
        () => true,
        () => false,
      )
      if (found) return new DiskImages(folder, mkfs, format)
    }
    return undefined
  }

  /** A new sparse image at `path`, whose folder must exist. */
  async make(path: string, bytes: number): Promise<void> {
    const extents = await this.#template(bytes)
    const file = await open(path, 'wx', 0o600)
    try {
      await file.truncate(bytes)
      for (const { at, data } of extents) await file.write(data, 0, data.length, at)
    } catch (error) {
      await rm(path, { force: true })
      throw CoveError.from(error, 'io-error')
    } finally {
      await file.close()
    }
  }

  #template(bytes: number): Promise<readonly Extent[]> {
    const known = this.#formatted.get(bytes)
    if (known !== undefined) return known
    const made = this.#make(bytes)
    this.#formatted.set(bytes, made)
    // A failure is not remembered: the disk may have been full.
    made.catch(() => this.#formatted.delete(bytes))
    const [oldest] = this.#formatted.keys()
    if (this.#formatted.size > MAX_KEPT && oldest !== undefined) this.#formatted.delete(oldest)
    return made
  }

  async #make(bytes: number): Promise<readonly Extent[]> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const aside = await mkdtemp(join(this.#folder, 'new-'))
    try {
      const image = join(aside, 'image')
      const content = join(aside, 'content')
      for (const name of LAYER_FOLDERS) await mkdir(join(content, name), { recursive: true, mode: 0o755 })
      const file = await open(image, 'wx', 0o600)
      await file.truncate(bytes)
      await file.close()
      await run(this.#mkfs, ['-q', '-F', '-m', '0', ...OPTIONS[this.#format](bytes), '-d', content, image], { env: {} })
      return await extentsOf(image, this.#format === 'plain' ? bytes : metadataBytes(bytes))
    } catch (cause) {
      throw CoveError.from(cause, 'driver-failed')
    } finally {
      await rm(aside, { recursive: true, force: true })
    }
  }
}

/** What of the first bytes of a sparse file is not zero. Most of it is: whole pieces are compared before they are looked into. */
async function extentsOf(path: string, bytes: number): Promise<readonly Extent[]> {
  const file = await open(path, 'r')
  try {
    const size = Math.min(bytes, (await file.stat()).size)
    const extents: Extent[] = []
    const buffer = Buffer.alloc(PIECE)
    const zero = Buffer.alloc(PIECE)
    for (let at = 0; at < size; at += PIECE) {
      const { bytesRead } = await file.read(buffer, 0, PIECE, at)
      if (buffer.compare(zero, 0, bytesRead, 0, bytesRead) === 0) continue
      for (let offset = 0; offset < bytesRead; offset += BLOCK) {
        const end = Math.min(offset + BLOCK, bytesRead)
        if (buffer.compare(zero, 0, end - offset, offset, end) === 0) continue
        extents.push({ at: at + offset, data: Uint8Array.from(buffer.subarray(offset, end)) })
      }
    }
    return extents
  } finally {
    await file.close()
  }
}
