import { randomInt } from 'node:crypto'
import { expect, it } from 'vitest'
import type { KeyValue, Store } from '@cove/domain'
import { systemClock } from '@cove/domain/system'
import { nextLine, startChild } from '../../test/child.ts'
import { openEmbeddedStore } from './open-embedded-store.ts'
import { testFile } from '../../test/test-file.ts'

const ROUNDS = 20

it('has every acknowledged transaction, and none by half, after its process was killed at any moment', async () => {
  await using place = await testFile()
  const acknowledged = new Set<number>()
  let first = 0
  for (let round = 0; round < ROUNDS; round++) {
    await using child = startChild('writer', [place.file, `${first}`])
    expect(await nextLine(child)).toBe('ready')
    // Some are killed before their first answer, some after a checkpoint of the log or two.
    const answers = round === 0 ? 0 : randomInt(1, round % 4 === 3 ? 1500 : 100)
    for (let i = 0; i < answers; i++) acknowledged.add(Number(await nextLine(child)))
    child.process.kill('SIGKILL')
    // What it printed before its end counts as well.
    for (let line = await child.lines.next(); line.done !== true; line = await child.lines.next()) {
      // A line cut off by the end is a shorter number, which was acknowledged before.
      acknowledged.add(Number(line.value))
    }
    await child.kill()

    await using store = await openEmbeddedStore({ path: place.file, clock: systemClock })
    const left = await allOf(store, 'left/')
    const right = await allOf(store, 'right/')
    expect([...right.keys()]).toEqual([...left.keys()])
    for (const [n, item] of left) {
      expect(item.value.subarray(0, `${n}`.length).toString()).toBe(Buffer.from(`${n}`).join(','))
      expect(right.get(n)?.modRevision).toBe(item.modRevision)
    }
    expect([...acknowledged].filter((n) => !left.has(n))).toEqual([])
    first = Math.max(-1, ...left.keys()) + 1
    // Revisions have no holes: each pair is one.
    expect(await store.revision()).toBe(left.size + 1)
  }
  expect(acknowledged.size).toBeGreaterThan(ROUNDS)
}, 120_000)

async function allOf(store: Store, prefix: string): Promise<Map<number, KeyValue>> {
  const items = new Map<number, KeyValue>()
  let after: string | undefined
  for (;;) {
    const page = await store.range({ prefix, ...(after === undefined ? {} : { after }) })
    for (const item of page.items) items.set(Number(item.key.slice(prefix.length)), item)
    after = page.items.at(-1)?.key
    if (!page.more) return items
  }
}
