import { expect, it } from 'vitest'
import { CoveError } from '@cove/domain'
import { ManualClock } from '@cove/domain/manual-clock'
import { collection } from './collection.ts'
import { jsonCodec } from './json-codec.ts'
import { MemoryStore } from './memory-store.ts'

interface Pet {
  readonly name: string
  readonly age: number
}

const petCodec = jsonCodec<Pet>((value) => {
  if (typeof value !== 'object' || value === null || !('name' in value) || typeof value.name !== 'string') {
    throw new TypeError('a pet has a name')
  }
  return { name: value.name, age: 'age' in value && typeof value.age === 'number' ? value.age : 0 }
})

const birthday = (pet: Pet | undefined): Pet => ({ name: pet?.name ?? 'new', age: (pet?.age ?? 0) + 1 })

function pets() {
  const store = new MemoryStore({ clock: new ManualClock() })
  return { store, pets: collection(store, 'pets/', petCodec) }
}

it('keeps records by their id, and hands out what is needed to change them safely', async () => {
  const { store, pets: all } = pets()
  expect((await store.txn([all.absent('a')], [all.put('a', { name: 'Ada', age: 3 })])).ok).toBe(true)
  const entry = await all.get('a')
  expect(entry).toEqual({ id: 'a', value: { name: 'Ada', age: 3 }, createRevision: 2, modRevision: 2 })
  if (entry === undefined) return
  expect((await store.txn([all.unchanged(entry), all.exists('a')], [all.put('a', { name: 'Ada', age: 4 })])).ok).toBe(
    true,
  )
  expect((await store.txn([all.unchanged(entry)], [all.delete('a')])).ok).toBe(false)
  await store.txn([], [all.delete('a')])
  expect(await all.get('a')).toBeUndefined()
})

it('lists any number of records at one revision', async () => {
  const { store, pets: all } = pets()
  for (let i = 0; i < 2500; i += 100) {
    await store.txn(
      [],
      Array.from({ length: 100 }, (_, j) => all.put(`p${i + j}`, { name: 'x', age: i + j })),
    )
  }
  await store.txn([], [{ type: 'put', key: 'petsitter', value: new Uint8Array() }])
  let count = 0
  for await (const { value } of all.list()) {
    if (count === 0) await store.txn([], [all.delete('p2499'), all.put('p99999', { name: 'late', age: 99_999 })])
    expect(value.age).toBeLessThan(2500)
    count += 1
  }
  expect(count).toBe(2500)
  const { entries, revision } = await all.all('p99999')
  expect([entries.map(({ id }) => id), revision]).toEqual([['p99999'], await store.revision()])
})

it('tells changes as records', async () => {
  const { store, pets: all } = pets()
  const abort = new AbortController()
  await store.txn([], [all.put('a', { name: 'Ada', age: 1 })])
  await store.txn([], [all.delete('a')])
  const told: unknown[] = []
  for await (const { revision, changes } of all.watch({ fromRevision: 2, signal: abort.signal })) {
    told.push([revision, ...changes.map((change) => (change.type === 'put' ? change.entry.value.name : change.id))])
    if (told.length === 2) break
  }
  expect(told).toEqual([
    [2, 'Ada'],
    [3, 'a'],
  ])
})

it('updates a record whatever others do meanwhile, and keeps its lease', async () => {
  const { store, pets: all } = pets()
  const lease = await store.grantLease(1000)
  await store.txn([], [all.put('a', { name: 'Ada', age: 0 }, lease)])
  await Promise.all(Array.from({ length: 10 }, () => all.update('a', birthday)))
  expect(await all.get('a')).toMatchObject({ value: { name: 'Ada', age: 10 } })
  expect((await store.get('pets/a'))?.lease).toBe(lease)
  expect(await all.update('b', birthday)).toMatchObject({ id: 'b', value: { name: 'new', age: 1 }, createRevision: 13 })
})

it('gives up an update when somebody always comes first', async () => {
  const { store, pets: all } = pets()
  const stubborn = collection(
    new Proxy(store, {
      get: (target, name) => {
        if (name === 'txn') return async () => ({ ok: false, revision: 1 })
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    }),
    'pets/',
    petCodec,
  )
  await expect(stubborn.update('a', () => ({ name: 'x', age: 1 }))).rejects.toMatchObject({ code: 'store-conflict' })
  expect(await all.get('a')).toBeUndefined()
})

it('names the record that cannot be read', async () => {
  const { store, pets: all } = pets()
  for (const [id, text] of [
    ['cut', '{"name":'],
    ['nameless', '{"age":3}'],
  ]) {
    await store.txn([], [{ type: 'put', key: `pets/${id}`, value: Buffer.from(text ?? '') }])
    await expect(all.get(id ?? '')).rejects.toMatchObject({
      code: 'store-corrupt',
      message: expect.stringContaining(`pets/${id}`),
    })
  }
})

it('refuses a prefix that could run into another, and an empty id', async () => {
  const { store, pets: all } = pets()
  expect(() => collection(store, 'pets', petCodec)).toThrow(CoveError)
  expect(() => all.put('', { name: 'x', age: 1 })).toThrow(CoveError)
})
