import { CoveError } from '@cove/domain'

/** How a piece of work ends: `done`, or the code of its error. Other errors go on. */
export async function outcome(work: () => unknown): Promise<string> {
  try {
    await work()
    return 'done'
  } catch (error) {
    if (error instanceof CoveError) return error.code
    throw error
  }
}
