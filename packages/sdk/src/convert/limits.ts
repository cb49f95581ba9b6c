import { CoveError } from '@cove/domain'
import type { LimitOptions } from '../sandbox-options.ts'

/** What is named, in the protocol's numbers. */
export function limitsInit({ memoryBytes, cpus, processes, diskBytes }: LimitOptions) {
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes: wholeBytes('memoryBytes', memoryBytes) }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(processes === undefined ? {} : { processes }),
    ...(diskBytes === undefined ? {} : { diskBytes: wholeBytes('diskBytes', diskBytes) }),
  }
}

function wholeBytes(field: string, value: number): bigint {
  if (Number.isSafeInteger(value) && value > 0) return BigInt(value)
  throw new CoveError('invalid-argument', `${field} ${value} is not a whole number of bytes above 0`, { field })
}
