import { createReadStream } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import type { ArchiveFormat, Cove, SnapshotInfo } from '@cove/sdk'
import { Sink } from './attach/sink.ts'
import type { Io } from './io.ts'
import { UsageError } from './usage-error.ts'

/** Writes the archive of a snapshot to a file, which is there only when all of it is, or to standard output. */
export async function saveArchive(
  io: Io,
  cove: Cove,
  snapshot: string,
  { file, format = 'oci' }: { readonly file?: string; readonly format?: ArchiveFormat },
): Promise<void> {
  if (file === undefined && io.stdout.isTTY === true) {
    throw new UsageError('an archive is nothing for a terminal', 'Name a file with -o, or redirect the output.')
  }
  const { base, content } = await cove.snapshots.export(snapshot, { format })
  if (base === 'host') {
    const note = 'holds only what was written over the programs of this host: for `cove snapshot import` on one like it'
    io.stderr.write(`note: the archive ${note}\n`)
  }
  if (file !== undefined) return await writeFile(file, content)
  using sink = new Sink(io.stdout)
  for await (const chunk of content) await sink.write(chunk)
}

export async function importArchive(io: Io, cove: Cove, file: string, name: string | undefined): Promise<SnapshotInfo> {
  const options = name === undefined ? {} : { name }
  if (file === '-') return await cove.snapshots.import(io.stdin, options)
  const stream = createReadStream(file)
  try {
    return await cove.snapshots.import(stream, options)
  } catch (error) {
    throw stream.errored === null ? error : unreadable(file, stream.errored)
  } finally {
    stream.destroy()
  }
}

/** Readable by nobody else: whatever was in the sandbox is in it. */
async function writeFile(file: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const aside = `${file}.part-${process.pid}`
  try {
    const handle = await open(aside, 'wx', 0o600)
    try {
      for await (const chunk of content) await handle.writeFile(chunk)
    } finally {
      await handle.close()
    }
    await rename(aside, file)
  } catch (error) {
    await rm(aside, { force: true })
    if (error instanceof CoveError) throw error
    throw new CoveError('io-error', `${file} cannot be written: ${text(error)}`, {}, { cause: error })
  }
}

function unreadable(file: string, cause: Error): CoveError {
  return new CoveError('io-error', `${file} cannot be read: ${text(cause)}`, {}, { cause })
}

const text = (error: unknown): string => (error instanceof Error ? error.message : String(error))
