import { CoveError } from '@cove/domain'
import type { Architecture } from './syscalls.ts'

/** That of this host; `unsupported` where there is no table of its system calls. */
export function ownArchitecture(): Architecture {
  if (process.arch === 'x64' || process.arch === 'arm64') return process.arch
  throw new CoveError('unsupported', `there is no system call table for ${process.arch}`)
}
