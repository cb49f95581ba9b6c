import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, open } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import { runLayersProgram } from './layers-program.ts'

export interface CopyFileRequest {
  /** A regular file; what a link of this name leads to is not read, unless `follow` says so. */
  readonly from: string
  /** For the kernel's own links to open files, such as `/proc/1/fd/3`. Default false. */
  readonly follow?: boolean
  /** Must not be there; gone again when anything fails. */
  readonly into: string
  /**
   * A process that has all of the file mapped for itself, and stands still: what it has changed there is in the copy,
   * not in the file. Needs the right to read its memory, which root has.
   */
  readonly process?: number
  readonly signal?: AbortSignal
}

/** By what a large file is known again without reading all of it. */
export interface FileMark {
  /** Bytes, holes counted. */
  readonly size: number
  /** Where the blocks are that are looked at; at most 64. */
  readonly samples: readonly number[]
  /** Of those blocks: hex of SHA-256. */
  readonly digest: string
}

export interface CopiedFile {
  readonly mark: FileMark
  /** Bytes on the disk. */
  readonly stored: number
}

const BLOCK = 4096
export const MAX_SAMPLES = 64

/**
 * Copies a disk or the memory of a virtual machine: shares the content where the file system can; else what is zero
 * becomes a hole. Errors: `unsupported`, `no-space`, `io-error`, `cancelled`.
 */
export async function copyFile(program: string, request: CopyFileRequest): Promise<CopiedFile> {
  const { from, into, process, follow = false, signal } = request
  if (signal?.aborted === true) throw CoveError.from(signal.reason, 'cancelled')
  const args = ['file', '--from', from, '--into', into, ...(follow ? ['--follow'] : [])]
  const whose = process === undefined ? [] : ['--process', String(process)]
  const line = await runLayersProgram(program, [...args, ...whose], signal)
  const { size, stored, samples } = parseReport(line)
  return { mark: { size, samples, digest: await digestOf(into, samples) }, stored }
}

/** Whether a file is, as far as one can tell without reading all of it, the one that was marked. */
export async function hasMark(path: string, mark: FileMark): Promise<boolean> {
  const facts = await lstat(path).catch(() => undefined)
  if (facts?.isFile() !== true || facts.size !== mark.size) return false
  return (await digestOf(path, mark.samples)) === mark.digest
}

async function digestOf(path: string, samples: readonly number[]): Promise<string> {
  const hash = createHash('sha256')
  const block = Buffer.alloc(BLOCK)
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  for (const at of samples) {
    const { bytesRead } = await file.read(block, 0, BLOCK, at)
    hash.update(block.subarray(0, bytesRead))
  }
  return hash.digest('hex')
}

function parseReport(line: string): { readonly size: number; readonly stored: number; readonly samples: number[] } {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value !== 'object' || value === null) throw new TypeError('not an object')
    const { size, stored, samples } = value as Record<string, unknown>
    if (!Array.isArray(samples) || samples.length > MAX_SAMPLES) throw new TypeError('not samples')
    return { size: count(size), stored: count(stored), samples: samples.map(count) }
  } catch (cause) {
    throw new CoveError('io-error', `the program for layers says ${JSON.stringify(line.slice(0, 200))}`, {}, { cause })
  }
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new TypeError('not a count')
  return value
}
