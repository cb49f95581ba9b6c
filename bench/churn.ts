import { Api } from './lib/api.ts'
import { startDaemon } from './lib/daemon.ts'
import { round, type Benchmark } from './lib/result.ts'

const CONCURRENCY = 8

/** Creates, first commands and deletes per second at steady state. */
export const run: Benchmark = async ({ quick }) => {
  const seconds = quick ? 5 : 30
  await using daemon = await startDaemon()
  const api = new Api(daemon)
  const cycle = async () => {
    const id = await api.create()
    await api.delete(id)
  }
  for (let i = 0; i < 20; i++) await cycle()
  let done = 0
  const end = performance.now() + seconds * 1000
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      while (performance.now() < end) {
        await cycle()
        done += 1
      }
    }),
  )
  api.close()
  return { name: 'churn', n: done, per_second: round(done / seconds), seconds, concurrency: CONCURRENCY }
}
