import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { systemClock } from '@cove/domain/system'
import { openImageStore } from '@cove/images'
import { missingForRegistry, TestRegistry } from '@cove/images/testing'
import { GUEST_PROGRAM } from './lib/host.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

const run_ = promisify(execFile)
const UMOCI = '/usr/bin/umoci'
const SKOPEO = '/usr/bin/skopeo'
const LAYERS = join(GUEST_PROGRAM, '../cove-layers')
/** Real files of many sizes; as many as make an image of the wanted size. */
const CONTENT = [
  '/usr/lib/python3',
  '/usr/lib/git-core',
  '/usr/share/perl',
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/gcc',
]
const MIB = 1024 * 1024

/**
 * An image of about 150 MB from a registry of its own on the loopback, fetched and unpacked, against `skopeo copy` and
 * `umoci unpack`; then what a fetch costs when the image is there.
 */
export const run: Benchmark = async ({ quick }) => {
  const missing = missingForRegistry() ?? (existsSync(UMOCI) ? undefined : 'umoci is not installed')
  if (missing !== undefined) return { name: 'image-pull', n: 0, skipped: missing }
  const folder = await mkdtemp(join(tmpdir(), 'cove-bench-'))
  try {
    await using registry = await TestRegistry.start()
    const reference = await registry.push(await layout(folder, quick ? 60 : 150), 'bench', 'bench:1')
    const samples: number[] = []
    const baseline: number[] = []
    const again: number[] = []
    let growth = 0
    for (let i = 0; i < (quick ? 2 : 6); i++) {
      await run_('sync', [])
      baseline.push(await withTools(folder, reference))
      await run_('sync', [])
      const before = process.memoryUsage.rss()
      let peak = before
      const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 20)
      await using images = await openImageStore({
        folder: join(folder, `store-${i}`),
        layersProgram: LAYERS,
        clock: systemClock,
      })
      const options = { signal: AbortSignal.timeout(300_000), progress: () => undefined }
      const start = performance.now()
      ;(await images.fetch(`oci:${reference}`, options))[Symbol.dispose]()
      samples.push(performance.now() - start)
      clearInterval(watch)
      growth = Math.max(growth, peak - before)
      for (let n = 0; n < 20; n++) {
        const asked = performance.now()
        ;(await images.fetch(`oci:${reference}`, options))[Symbol.dispose]()
        again.push(performance.now() - asked)
      }
    }
    const p50 = quantile(samples, 0.5)
    const base = quantile(baseline, 0.5)
    return {
      name: 'image-pull',
      n: samples.length,
      p50_ms: p50,
      baseline_p50_ms: base,
      ratio: round(p50 / base),
      growth_mib: round(growth / MIB),
      again_p50_ms: quantile(again, 0.5),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Milliseconds until the image lies unpacked. */
async function withTools(folder: string, reference: string): Promise<number> {
  const target = join(folder, 'tools')
  await mkdir(target)
  const start = performance.now()
  await run_(SKOPEO, [
    '--insecure-policy',
    'copy',
    '-q',
    '--src-tls-verify=false',
    `docker://${reference}`,
    `oci:${target}/image:bench`,
  ])
  await run_(UMOCI, ['unpack', '--image', `${target}/image:bench`, `${target}/bundle`])
  const took = performance.now() - start
  await rm(target, { recursive: true, force: true })
  return took
}

/** An OCI layout of three layers. */
async function layout(folder: string, mebibytes: number): Promise<string> {
  const image = join(folder, 'image')
  await run_(UMOCI, ['init', '--layout', image])
  await run_(UMOCI, ['new', '--image', `${image}:bench`])
  let left = mebibytes * MIB
  for (const [at, path] of CONTENT.filter((one) => existsSync(one)).entries()) {
    if (left <= 0) break
    const tar = join(folder, `${at}.tar`)
    // The first files of the folder up to what is wanted, in the order in which they lie there.
    const script = `cd / && find "$1" -type f -size -20M -printf '%s %p\\n' | awk -v most="$2" '{ sum += $1; if (sum > most) exit; $1 = ""; print substr($0, 2) }' | tar -cf "$3" -T - 2>/dev/null; stat -c %s "$3"`
    const { stdout } = await run_('sh', ['-c', script, 'sh', path.slice(1), String(left), tar])
    left -= Number(stdout)
    await run_(UMOCI, ['raw', 'add-layer', '--image', `${image}:bench`, tar])
    await rm(tar)
  }
  return image
}
