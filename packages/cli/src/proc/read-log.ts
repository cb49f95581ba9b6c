import { open, stat, type FileHandle } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import { FolderWatch } from './folder-watch.ts'
import { parseLogLine, type LogLine } from './log-line.ts'
import type { ProcFolder } from './proc-folder.ts'

const CHUNK_BYTES = 65_536

interface ReadOptions {
  /** Only so many of the lines that are there at the beginning. */
  readonly tail: number | undefined
  /** Present: goes on with what comes, until this says that nothing can come any more. */
  readonly over?: (() => Promise<boolean>) | undefined
  readonly signal: AbortSignal
}

/** The lines of a process's log; `gap` where lines were thrown away before they could be read. */
export async function* readLog(
  folder: ProcFolder,
  { tail, over, signal }: ReadOptions,
): AsyncGenerator<LogLine | 'gap'> {
  using watch = new FolderWatch(folder.path)
  const reader = new LogReader(folder.log)
  await using _reader = reader
  await reader.open()
  if (tail === undefined) yield* reader.rest()
  else yield* await last(reader.rest(), tail)
  if (over === undefined) return
  while (!signal.aborted) {
    const next = watch.next(signal)
    // Asked before reading, so that what was said before the end is read.
    const ended = await over()
    yield* reader.rest()
    if (ended) return
    await next
  }
}

async function last(lines: AsyncIterable<LogLine | 'gap'>, most: number): Promise<(LogLine | 'gap')[]> {
  const kept: (LogLine | 'gap')[] = []
  for await (const line of lines) {
    kept.push(line)
    // Seldom, for it moves all of them.
    if (kept.length > 2 * most + 1000) kept.splice(0, kept.length - most)
  }
  return most === 0 ? [] : kept.slice(-most)
}

/** Reads a file and those that take its place, one after another. */
class LogReader implements AsyncDisposable {
  readonly #path: string
  /** Read one after another; the last one is being written. */
  #files: FileHandle[] = []
  #begun = ''
  readonly #decoder = new TextDecoder()

  constructor(path: string) {
    this.#path = path
  }

  async open(): Promise<void> {
    for (;;) {
      const newest = await openIfThere(this.#path)
      const before = await openIfThere(`${this.#path}.1`)
      // Between the two the one may have become the other.
      if (newest !== undefined && before !== undefined && (await inode(newest)) === (await inode(before))) {
        await newest.close()
        await before.close()
        continue
      }
      this.#files = [before, newest].filter((file) => file !== undefined)
      return
    }
  }

  /** All that is there now. */
  async *rest(): AsyncGenerator<LogLine | 'gap'> {
    for (;;) {
      const file = this.#files[0]
      if (file === undefined) {
        await this.open()
        if (this.#files.length === 0) return
        continue
      }
      // Looked at before the last read of it: what has taken its place cannot be missed.
      const replaced = this.#files.length === 1 && (await inodeAt(this.#path)) !== (await inode(file))
      yield* this.#linesOf(file)
      if (this.#files.length === 1) {
        const next = replaced ? await this.#next(file) : undefined
        // What takes its place may just be on its way.
        if (next === undefined) return
        this.#files.push(...next.files)
        if (next.gap) yield 'gap'
      }
      await file.close()
      this.#files.shift()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files) await file.close()
    this.#files = []
  }

  /** What comes behind the file; `gap` when something between was thrown away. Undefined while there is nothing. */
  async #next(file: FileHandle): Promise<{ readonly files: readonly FileHandle[]; readonly gap: boolean } | undefined> {
    const newest = await openIfThere(this.#path)
    if (newest === undefined) return undefined
    const before = await openIfThere(`${this.#path}.1`)
    if (before === undefined) return { files: [newest], gap: false }
    const [own, between] = [await inode(file), await inode(before)]
    if (between !== own && between !== (await inode(newest))) return { files: [before, newest], gap: true }
    await before.close()
    return { files: [newest], gap: between !== own }
  }

  async *#linesOf(file: FileHandle): AsyncGenerator<LogLine> {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES)
      if (bytesRead === 0) return
      const lines = (this.#begun + this.#decoder.decode(buffer.subarray(0, bytesRead), { stream: true })).split('\n')
      this.#begun = lines.pop() ?? ''
      for (const line of lines) {
        const parsed = parseLogLine(line)
        if (parsed !== undefined) yield parsed
      }
    }
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw CoveError.from(error, 'io-error')
  }
}

const inode = async (file: FileHandle): Promise<number> => (await file.stat()).ino

async function inodeAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino
  } catch {
    return undefined
  }
}
