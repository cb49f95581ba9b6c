import { Cove } from '@cove/sdk'
import { startDaemon } from './lib/daemon.ts'
import { rawPipe } from './lib/raw-pipe.ts'
import { round, type Benchmark } from './lib/result.ts'

const MIB = 1024 * 1024

/** Output from a process to an SDK client, against a raw local socket between two Node processes. */
export const run: Benchmark = async ({ quick }) => {
  const bytes = (quick ? 512 : 4096) * MIB
  await using daemon = await startDaemon()
  const cove = new Cove({ url: daemon.url, apiKey: daemon.apiKey })
  await using sandbox = await cove.sandboxes.create({})
  await stream(sandbox, bytes / 8)
  const rates = []
  const bases = []
  for (let round_ = 0; round_ < 3; round_++) {
    bases.push(await rawPipe(bytes))
    rates.push(await stream(sandbox, bytes))
  }
  const best = Math.max(...rates)
  const base = Math.max(...bases)

  const boxes = await Promise.all(Array.from({ length: 20 }, () => cove.sandboxes.create({})))
  const each = Math.floor(bytes / 20)
  const times = await Promise.all(boxes.map(async (box) => each / 1e6 / (await stream(box, each))))
  await Promise.all(boxes.map((box) => box.delete()))
  return {
    name: 'output',
    n: 3,
    mb_per_s: round(best),
    baseline_mb_per_s: round(base),
    ratio: round(best / base),
    /** The slowest of 20 at once against the fastest: 1 is perfectly fair. */
    fairness_of_20: round(Math.max(...times) / Math.min(...times)),
  }
}

async function stream(sandbox: Awaited<ReturnType<Cove['sandboxes']['create']>>, bytes: number): Promise<number> {
  const start = performance.now()
  const process_ = await sandbox.start(['/usr/bin/head', '-c', String(bytes), '/dev/zero'])
  let received = 0
  for await (const event of process_.events()) if (event.type === 'output') received += event.data.length
  if (received !== bytes) throw new Error(`${received} of ${bytes} bytes arrived`)
  return bytes / 1e6 / ((performance.now() - start) / 1000)
}
