import { CoveError } from '@cove/domain'
import { bad } from '../sandboxes/request.ts'
import type { InstallPackages, RunCode } from './runtimes.ts'

export const MAX_CODE_BYTES = 512_000
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024
const MAX_TIMEOUT_MS = 24 * 3_600_000

export function checkBounds({ timeoutMs, maxOutputBytes }: RunCode | InstallPackages): void {
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > MAX_TIMEOUT_MS) {
    throw bad('timeoutMs', `must be a whole number from 1 to ${MAX_TIMEOUT_MS}`)
  }
  if (!Number.isInteger(maxOutputBytes) || maxOutputBytes < 0 || maxOutputBytes > MAX_OUTPUT_BYTES) {
    throw bad('maxOutputBytes', `must be a whole number from 0 to ${MAX_OUTPUT_BYTES}`)
  }
}

export function encodeCode(code: string): Uint8Array {
  const length = Buffer.byteLength(code)
  if (length > MAX_CODE_BYTES) {
    throw new CoveError(
      'payload-too-large',
      `the code has ${length} bytes; at most ${MAX_CODE_BYTES} are run`,
      { field: 'code', bytes: length, limit: MAX_CODE_BYTES },
      { fix: 'Write it to a file of the sandbox, and run a few lines that use that file.' },
    )
  }
  return Buffer.from(code)
}
