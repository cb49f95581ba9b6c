import { createInterface } from 'node:readline/promises'
import type { Io } from '../io.ts'

/** `ask` asks where a terminal is; without one it goes ahead, for the command was given to get a running Cove. */
export type InstallPolicy = 'ask' | 'yes' | 'no'

/** Says what would be installed and whether it may be. */
export async function mayInstall(what: string, policy: InstallPolicy, io: Io): Promise<boolean> {
  if (policy === 'no') return false
  if (policy === 'yes' || io.stdin.isTTY !== true || io.stderr.isTTY !== true) {
    io.stderr.write(`cove: installing ${what}\n`)
    return true
  }
  const prompt = createInterface({ input: io.stdin, output: io.stderr })
  const closed = new AbortController()
  prompt.once('close', () => closed.abort())
  try {
    const answer = await prompt.question(`Cove needs ${what}. Install it now? [Y/n] `, { signal: closed.signal })
    return /^\s*(y|yes)?\s*$/i.test(answer)
  } catch (error) {
    // Ctrl-C and Ctrl-D are no answer.
    if (closed.signal.aborted) return false
    throw error
  } finally {
    prompt.close()
  }
}
