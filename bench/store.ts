import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { systemClock } from '@cove/domain/system'
import { openEmbeddedStore } from '@cove/store'
import { quantile, round, type Benchmark } from './lib/result.ts'

/** Records of this size are put, as a sandbox's spec or status would be. */
const VALUE = new Uint8Array(400).fill(120)
const PIPELINE = 64

/**
 * Round trip of a small transaction of the embedded store (one compare, two puts), one after the other, and its
 * throughput with 64 under way; the baseline is SQLite alone writing the same two rows in this thread.
 */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 500 : 5000
  const directory = await mkdtemp(join(tmpdir(), 'cove-bench-'))
  try {
    const baseline = rawSqlite(join(directory, 'raw.db'), n)
    const openStart = performance.now()
    await using store = await openEmbeddedStore({ path: join(directory, 'store.db'), clock: systemClock })
    const open = performance.now() - openStart
    const write = (i: number) =>
      store.txn(
        [{ key: `spec/${i}`, absent: true }],
        [
          { type: 'put', key: `spec/${i}`, value: VALUE },
          { type: 'put', key: `reserved/${i % 100}`, value: VALUE },
        ],
      )
    const samples: number[] = []
    for (let i = 0; i < n; i++) {
      const start = performance.now()
      await write(i)
      samples.push(performance.now() - start)
    }
    let next = n
    const start = performance.now()
    const writer = async () => {
      while (next < n * 5) await write(next++)
    }
    await Promise.all(Array.from({ length: PIPELINE }, writer))
    const perSecond = (n * 4) / ((performance.now() - start) / 1000)
    const p50 = quantile(samples, 0.5)
    const base = quantile(baseline, 0.5)
    return {
      name: 'store',
      n,
      p50_ms: p50,
      p99_ms: quantile(samples, 0.99),
      baseline_p50_ms: base,
      ratio: round(p50 / base),
      per_second: Math.round(perSecond),
      open_ms: round(open),
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function rawSqlite(path: string, n: number): number[] {
  const db = new DatabaseSync(path)
  db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
  db.exec('CREATE TABLE kv (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID')
  const put = db.prepare('INSERT OR REPLACE INTO kv VALUES (?, ?)')
  const samples: number[] = []
  for (let i = 0; i < n; i++) {
    const start = performance.now()
    db.exec('BEGIN IMMEDIATE')
    put.run(Buffer.from(`spec/${i}`), VALUE)
    put.run(Buffer.from(`reserved/${i % 100}`), VALUE)
    db.exec('COMMIT')
    samples.push(performance.now() - start)
  }
  db.close()
  return samples
}

if (import.meta.main) {
  const result = await run({ quick: process.argv.includes('--quick') })
  process.stdout.write(`${JSON.stringify(result)}\n`)
}
