import { MemoryStore } from '@cove/store'
import { systemClock, systemRandom } from '@cove/domain/system'
import { expect, test } from 'vitest'
import { signingKey } from './signing-key.ts'

test('a signing key is made once, whoever asks first, and is another for every purpose', async () => {
  await using store = new MemoryStore({ clock: systemClock })
  const asked = await Promise.all([1, 2, 3].map(() => signingKey(store, systemRandom, 'preview')))
  const [first] = asked
  expect(first).toHaveLength(32)
  for (const key of asked) expect(Buffer.from(key).equals(first ?? new Uint8Array())).toBe(true)
  const other = await signingKey(store, systemRandom, 'file')
  expect(Buffer.from(other).equals(first ?? new Uint8Array())).toBe(false)
})

test('a record that is no key is refused instead of signed with', async () => {
  await using store = new MemoryStore({ clock: systemClock })
  await store.txn([], [{ type: 'put', key: 'access/signing-key/preview', value: new Uint8Array(3) }])
  await expect(signingKey(store, systemRandom, 'preview')).rejects.toMatchObject({ code: 'store-corrupt' })
})
