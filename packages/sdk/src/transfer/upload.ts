import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import type { Files } from '../files.ts'
import { localTree, type LocalEntry } from './local-tree.ts'
import type { TransferOptions, TransferSummary } from './options.ts'
import { pool } from './pool.ts'
import { Tally } from './tally.ts'

const AT_ONCE = 16
/** Up to here a file is read whole, which is faster for the many small ones of a usual directory. */
const WHOLE_BYTES = 256 * 1024
const PART_BYTES = 256 * 1024
const OWNER_ALL = 0o700

/** Copies a local file, or a directory with everything in it, to exactly `remote`. */
export async function upload(
  files: Files,
  local: string,
  remote: string,
  options: TransferOptions,
): Promise<TransferSummary> {
  const tally = new Tally(options)
  const top = await lookUp(local)
  if (top.isDirectory()) await uploadTree(files, local, remote, options, tally)
  else await uploadFile(files, { path: local, mode: top.mode & 0o777, size: top.size }, remote, options, tally)
  return tally.summary()
}

async function lookUp(local: string) {
  try {
    return await stat(local)
  } catch (cause) {
    throw new CoveError(
      'file-not-found',
      `${local} cannot be read: ${reason(cause)}`,
      { path: local },
      {
        fix: 'Check the path on this machine.',
        cause,
      },
    )
  }
}

async function uploadTree(files: Files, local: string, remote: string, options: TransferOptions, tally: Tally) {
  const locked: { path: string; mode: number }[] = []
  const entries = localTree(local, (path, why) => tally.skip(path, why))
  const place = (entry: LocalEntry) => [remote.replace(/\/+$/, ''), ...entry.parts].join('/') || '/'
  // Directories are made in turn, before the files in them; everything else goes side by side.
  const rest = async function* () {
    for await (const entry of entries) {
      if (entry.type !== 'directory') {
        yield entry
        continue
      }
      await files.mkdir(place(entry), { ...options, parents: true, mode: entry.mode | OWNER_ALL })
      if ((entry.mode & OWNER_ALL) !== OWNER_ALL) {
        // It may have been there already, and closed.
        await files.chmod(place(entry), entry.mode | OWNER_ALL, options)
        locked.push({ path: place(entry), mode: entry.mode })
      }
      tally.entry()
    }
  }
  await pool(rest(), AT_ONCE, async (entry) => {
    const { type, path, target } = entry
    if (type === 'file') await uploadFile(files, entry, place(entry), options, tally)
    else if (type === 'symlink' && target !== undefined) await makeLink(files, target, place(entry), options, tally)
    else tally.skip(path, 'it is neither a file, a directory nor a link')
  })
  // Last, because nothing can be written into a directory that its owner may not write to.
  for (const { path, mode } of locked.toReversed()) await files.chmod(path, mode, options)
}

async function uploadFile(
  files: Files,
  { path, mode, size }: { readonly path: string; readonly mode: number; readonly size: number },
  remote: string,
  options: TransferOptions,
  tally: Tally,
): Promise<void> {
  const content = size <= WHOLE_BYTES ? await readFile(path) : counted(path, tally)
  await files.write(remote, content, { ...options, mode })
  if (content instanceof Uint8Array) tally.moved(content.byteLength)
  tally.entry()
}

async function* counted(path: string, tally: Tally): AsyncGenerator<Uint8Array> {
  for await (const part of createReadStream(path, { highWaterMark: PART_BYTES })) {
    const bytes = part as Uint8Array
    yield bytes
    tally.moved(bytes.byteLength)
  }
}

async function makeLink(files: Files, target: string, path: string, options: TransferOptions, tally: Tally) {
  try {
    await files.symlink(target, path, options)
  } catch (thrown) {
    if (!(thrown instanceof CoveError && thrown.code === 'file-exists')) throw thrown
    await files.remove(path, { ...options, force: true })
    await files.symlink(target, path, options)
  }
  tally.entry()
}

const reason = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
