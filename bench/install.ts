import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { packForThisMachine } from '../tooling/release/pack.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

const exec = promisify(execFile)

/**
 * The released package in an empty folder: `npm install` of its tarball and `npx cove up`, until it is ready. Baseline:
 * `npm install` of a package that is nothing but its manifest. RELEASE_TARBALL names a package made before.
 */
export const run: Benchmark = async ({ quick }) => {
  const n = quick ? 1 : 5
  const base = await mkdtemp(join(tmpdir(), 'cove-bench-'))
  try {
    const tarball = process.env['RELEASE_TARBALL'] ?? (await packForThisMachine(base))
    const empty = await packEmpty(base)
    const ready: number[] = []
    const installed: number[] = []
    for (let turn = 0; turn < n; turn++) {
      installed.push(await timed(async () => install(await folder(base, `empty-${turn}`), empty)))
      ready.push(await installToReady(await folder(base, `cove-${turn}`), tarball))
    }
    const p50 = quantile(ready, 0.5)
    const baseline = quantile(installed, 0.5)
    return {
      name: 'install',
      n,
      p50_ms: p50,
      p99_ms: quantile(ready, 0.99),
      baseline_p50_ms: baseline,
      ratio: round(p50 / baseline),
      package_mib: round((await stat(tarball)).size / 2 ** 20),
    }
  } finally {
    await rm(base, { recursive: true, force: true })
  }
}

async function installToReady(cwd: string, tarball: string): Promise<number> {
  const env = { ...process.env, HOME: cwd, COVE_DATA_DIR: join(cwd, 'data') }
  try {
    return await timed(async () => {
      await install(cwd, tarball)
      await exec('npx', ['cove', 'up', '--detach', '--no-install', '--listen', '127.0.0.1:0'], { cwd, env })
    })
  } finally {
    await exec('npx', ['cove', 'down', '--all'], { cwd, env })
  }
}

async function install(cwd: string, tarball: string): Promise<void> {
  await exec('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], {
    cwd,
    env: { ...process.env, HOME: cwd },
  })
}

async function packEmpty(base: string): Promise<string> {
  const cwd = await folder(base, 'nothing')
  await writeFile(join(cwd, 'package.json'), '{"name":"nothing","version":"1.0.0"}')
  await exec('npm', ['pack', '--pack-destination', base], { cwd })
  return join(base, 'nothing-1.0.0.tgz')
}

async function folder(base: string, name: string): Promise<string> {
  const path = join(base, name)
  await mkdir(path)
  return path
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return round(performance.now() - start)
}
