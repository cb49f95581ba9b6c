import { systemClock } from '@cove/domain/system'
import { CoveError } from '@cove/domain'
import { openEmbeddedStore } from '../src/index.ts'

/** Opens a store, says how that went, and holds it until stdin ends. A second argument is the uid to act as. */
const [file = '', uid] = process.argv.slice(2)
if (uid !== undefined) process.setuid?.(Number(uid))
try {
  await using store = await openEmbeddedStore({ path: file, clock: systemClock })
  process.stdout.write(`opened ${await store.revision()}\n`)
  process.stdin.resume()
  await new Promise((resolve) => process.stdin.once('end', resolve))
} catch (error) {
  const { code, message } = CoveError.from(error)
  process.stdout.write(`${code} ${message}\n`)
}
