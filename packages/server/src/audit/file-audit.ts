import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { CoveError, type Clock, type Log } from '@cove/domain'
import { bad } from '../sandboxes/request.ts'
import type { AuditEntry } from './audit.ts'
import { matchesAudit, type AuditPage, type AuditQuery, type AuditRecord, type AuditTrail } from './audit-trail.ts'
import { linesBackwards } from './lines-backwards.ts'
import { parseAuditLine, renderAuditLine } from './audit-line.ts'
import { Segments } from './segments.ts'

export interface FileAuditOptions {
  readonly directory: string
  readonly clock: Clock
  readonly log: Log
  /** Bytes of one file. */
  readonly segmentBytes?: number
  /** Files that are kept; with the oldest one its entries go. */
  readonly segments?: number
  /** Bytes that one page looks through. */
  readonly pageBytes?: number
}

/** How far back in time the clock may have been set without entries of a page being missed, in milliseconds. */
const CLOCK_SLACK_MS = 3_600_000

/**
 * The audit log in files of JSON lines, 0600 in a folder of 0700. An entry is with the kernel before the call that it
 * tells of is answered: a killed daemon loses none, a machine without power may lose the last ones. When it cannot be
 * written, calls go on: whoever fills a disk must not be able to keep others from ending sandboxes, which is what frees
 * it. What was lost is counted, said once in the log, and written down as a gap as soon as that works again.
 */
export class FileAudit implements AuditTrail, Disposable {
  readonly #options: Required<FileAuditOptions>
  readonly #segments: Segments
  #descriptor: number | undefined
  #number = 0
  #size = 0
  #closed = false
  #lost = 0
  /** Lost since the last entry that was kept, and since when in Unix milliseconds. */
  #gap: { count: number; readonly since: number } | undefined
  /** The last line has no end: the disk was full in the middle of it, or the machine stopped. */
  #torn = false

  constructor(options: FileAuditOptions) {
    this.#options = { segmentBytes: 4 * 1024 * 1024, segments: 64, pageBytes: 32 * 1024 * 1024, ...options }
    this.#segments = new Segments(options.directory)
    this.#open(this.#segments.newest ?? 1)
  }

  get lost(): number {
    return this.#lost
  }

  record(entry: AuditEntry): void {
    try {
      if (this.#gap !== undefined) this.#append(renderAuditLine(this.#gapEntry(this.#gap)))
      this.#gap = undefined
      this.#append(renderAuditLine(entry))
    } catch (error) {
      this.#lose(error)
    }
  }

  async list(query: AuditQuery): Promise<AuditPage> {
    const { pageBytes } = this.#options
    const from = query.token === undefined ? undefined : parseToken(query.token)
    const records: AuditRecord[] = []
    let left = pageBytes
    for (const number of this.#segments.newestFirst(from?.segment)) {
      const end = number === from?.segment ? from.offset : Infinity
      for await (const { offset, bytes } of this.#lines(number, end)) {
        const token = renderToken(number, offset)
        left -= bytes.length + 1
        const entry = parseAuditLine(bytes)
        if (entry !== undefined && entry.at < (query.since ?? -Infinity) - CLOCK_SLACK_MS) return { records }
        if (entry !== undefined && matchesAudit(entry, query)) records.push({ ...entry, id: token })
        if (records.length === query.size || left <= 0) return { records, next: token }
      }
    }
    return { records }
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
    this.#closed = true
  }

  async *#lines(number: number, end: number) {
    const file = await open(this.#segments.path(number), 'r').catch((error: unknown) => {
      // Old files go while somebody reads.
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    })
    if (file === undefined) return
    try {
      const { size } = await file.stat()
      yield* linesBackwards(file, Math.min(end, size))
    } finally {
      await file.close()
    }
  }

  #append(line: string): void {
    const text = Buffer.from(this.#torn ? `\n${line}` : line)
    const isFull = this.#size > 0 && this.#size + text.length > this.#options.segmentBytes
    // Without a descriptor the next file could not be opened the last time.
    const descriptor = isFull || this.#descriptor === undefined ? this.#rotate() : this.#descriptor
    const written = writeSync(descriptor, text)
    this.#size += written
    this.#torn = written > 0 ? written < text.length : this.#torn
    if (written < text.length) throw new CoveError('no-space', 'the disk is full')
  }

  #rotate(): number {
    if (this.#closed) throw new CoveError('io-error', 'the audit log is closed')
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
    return this.#open(this.#number + 1)
  }

  #open(number: number): number {
    const descriptor = openSync(this.#segments.path(number), 'a+', 0o600)
    this.#descriptor = descriptor
    this.#number = number
    this.#size = fstatSync(descriptor).size
    const last = Buffer.alloc(1)
    this.#torn = this.#size > 0 && readSync(descriptor, last, 0, 1, this.#size - 1) === 1 && last[0] !== 10
    if (this.#segments.newest !== number) this.#segments.add(number, this.#options.segments)
    return descriptor
  }

  #lose(error: unknown): void {
    const { clock, log } = this.#options
    this.#lost++
    if (this.#gap !== undefined) {
      this.#gap.count++
      return
    }
    this.#gap = { count: 1, since: clock.now() }
    log.warn('the audit log cannot be written; calls go on', { error: CoveError.from(error).message })
  }

  #gapEntry({ count, since }: { count: number; since: number }): AuditEntry {
    const { clock } = this.#options
    return {
      at: clock.now(),
      project: '',
      key: '',
      role: 'viewer',
      action: 'audit/gap',
      target: '',
      details: { lost: String(count), since: new Date(since).toISOString() },
      from: '',
      outcome: 'io-error',
      requestId: '',
    }
  }
}

const renderToken = (segment: number, offset: number): string => `${segment.toString(36)}-${offset.toString(36)}`

function parseToken(token: string): { readonly segment: number; readonly offset: number } {
  const [, segment, offset] = /^([0-9a-z]{1,7})-([0-9a-z]{1,7})$/.exec(token) ?? []
  if (segment === undefined || offset === undefined) throw bad('pageToken', 'is not one that a list answered with')
  return { segment: Number.parseInt(segment, 36), offset: Number.parseInt(offset, 36) }
}
