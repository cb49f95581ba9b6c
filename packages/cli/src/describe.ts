import type { Command } from 'commander'
import { describeProgram } from './program.ts'

const refuse = (): Promise<never> => Promise.reject(new Error('this is only described'))

/** Every command with everything that it takes, for those who write about it; nothing of it can be run. */
export function describeCommandLine(): Promise<Command> {
  const io = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env: {} }
  return describeProgram({ context: { io, client: refuse }, run: refuse, load: () => true })
}
