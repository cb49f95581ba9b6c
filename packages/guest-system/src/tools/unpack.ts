import { spawn } from 'node:child_process'
import { CoveError } from '@cove/domain'
import type { Unpack } from '../kernel/kernel-payload.ts'
import { findProgram } from './find-program.ts'

const PACKAGE = { xz: 'xz-utils', lzma: 'xz-utils', bzip2: 'bzip2' } as const
const PROGRAM = { xz: 'xz', lzma: 'xz', bzip2: 'bzip2' } as const

/** Unpacks with a program of this machine. */
export const unpackWithTool: Unpack = async (name, input, most) => {
  const program = await findProgram(PROGRAM[name])
  if (program === undefined) {
    throw new CoveError(
      'unsupported',
      `the kernel is compressed with ${name}, and ${PROGRAM[name]} is not installed`,
      {},
      { fix: `Install it: apt-get install ${PACKAGE[name]}` },
    )
  }
  const child = spawn(program, name === 'lzma' ? ['--format=lzma', '-dc'] : ['-dc'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { LC_ALL: 'C' },
  })
  const chunks: Buffer[] = []
  let total = 0
  child.stdout.on('data', (chunk: Buffer) => {
    total += chunk.length
    if (total > most) child.kill('SIGKILL')
    else chunks.push(chunk)
  })
  // A program that has ended says so by its status.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const status = await new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(error.message)).on('close', (code, by) => resolve(code ?? by ?? 'unknown'))
  })
  if (total > most) throw new CoveError('kernel-invalid', `a part of the kernel unpacks to more than ${most} bytes`)
  if (status !== 0) throw new CoveError('kernel-invalid', `${name} cannot unpack the kernel: ${status}`)
  return Buffer.concat(chunks, total)
}
