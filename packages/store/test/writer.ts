import { systemClock } from '@cove/domain/system'
import { openEmbeddedStore } from '../src/index.ts'

/**
 * Writes pairs of keys with equal values as fast as it can and prints the number of each pair once it is
 * acknowledged; it goes on until it is killed. Every tenth pair carries large values.
 */
const [file = '', first = '0'] = process.argv.slice(2)
const store = await openEmbeddedStore({ path: file, clock: systemClock })
process.stdout.write('ready\n')

let next = Number(first)
const writeOne = async () => {
  const n = next++
  const value = Buffer.from(`${n}`.padEnd(n % 10 === 0 ? 20_000 : 20, '.'))
  await store.txn(
    [{ key: `left/${n}`, absent: true }],
    [
      { type: 'put', key: `left/${n}`, value },
      { type: 'put', key: `right/${n}`, value },
      { type: 'put', key: 'last', value },
    ],
  )
  process.stdout.write(`${n}\n`)
}
const writer = async () => {
  for (;;) await writeOne()
}
await Promise.all(Array.from({ length: 8 }, writer))
