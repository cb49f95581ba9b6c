import { STATUS } from './exit-status.ts'
import type { Io } from './io.ts'
import { renderError } from './render/error.ts'

/** As many calls at once as one daemon on a small machine makes good use of. */
const AT_ONCE = 8

/**
 * Does the same with each name and tells every failure; the others go on. Names are printed in the order in which they
 * are done. The status is 0 when all went well.
 */
export async function forEachName(
  names: readonly string[],
  io: Io,
  work: (name: string) => Promise<void>,
): Promise<number> {
  const waiting = [...names]
  let status: number = STATUS.ok
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      try {
        await work(name)
        io.stdout.write(`${name}\n`)
      } catch (thrown) {
        status = renderError(thrown, io)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, names.length) }, worker))
  return status
}
