import { CoveError, type Random, type Store } from '@cove/domain'

const PREFIX = 'access/signing-key/'
const BYTES = 32

/**
 * The secret that links are signed with, 32 random bytes. Made at first need and kept in the store, so that links
 * outlive a restart and every server of a cluster takes those of the others. One key for each purpose: what was
 * signed for one is worth nothing for another.
 */
export async function signingKey(store: Store, random: Random, purpose: string): Promise<Uint8Array> {
  const key = PREFIX + purpose
  const known = await store.get(key)
  if (known !== undefined) return checked(key, known.value)
  const made = random.bytes(BYTES)
  const { ok } = await store.txn([{ key, absent: true }], [{ type: 'put', key, value: made }])
  if (ok) return made
  const theirs = await store.get(key)
  if (theirs === undefined) throw new CoveError('store-conflict', 'the signing key was removed while it was made')
  return checked(key, theirs.value)
}

function checked(key: string, value: Uint8Array): Uint8Array {
  if (value.length === BYTES) return value
  throw new CoveError('store-corrupt', `the record ${key} is not what it should be`, { key })
}
