import { CoveError } from '@cove/domain'
import type { Cove } from '@cove/sdk'
import { nearestName } from './nearest.ts'

/** A person waits for the error and not for this. */
const LOOK_MS = 300
const MOST = 500

/** For a sandbox that is not there: the one that was meant, where a name is nearly the same. */
export async function suggestSandbox(thrown: unknown, cove: Cove | undefined): Promise<unknown> {
  if (cove === undefined || !(thrown instanceof CoveError) || thrown.code !== 'sandbox-not-found') return thrown
  const wanted = /"([^"]+)"/.exec(thrown.message)?.[1]
  if (wanted === undefined) return thrown
  try {
    const names: string[] = []
    const options = { pageSize: MOST, signal: AbortSignal.timeout(LOOK_MS) }
    for await (const { items } of cove.sandboxes.list(options).pages()) {
      names.push(...items.flatMap(({ name }) => name ?? []))
      break
    }
    const guess = nearestName(wanted, names)
    if (guess === undefined) return thrown
    const fix = `Did you mean ${guess}? \`cove ls\` lists them all.`
    return new CoveError(thrown.code, thrown.message, thrown.context, { fix, cause: thrown })
  } catch {
    return thrown
  }
}
