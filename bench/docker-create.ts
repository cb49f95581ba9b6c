import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { TestDockerd } from '@cove/docker-engine/testing'
import { Api } from './lib/api.ts'
import { missingFor, openEngineHouse } from './lib/engines.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

const run_ = promisify(execFile)
const CLI = '/usr/bin/docker'

/**
 * Create to first command's result over the HTTP API against one whole `docker run --rm`, and a command in a running
 * sandbox against `docker exec`, all on one engine.
 */
export const run: Benchmark = async ({ quick }) => {
  const missing = existsSync(CLI) ? await missingFor('docker') : 'docker is not installed (package docker.io)'
  if (missing !== undefined) return { name: 'docker-create', n: 0, skipped: missing }
  await using house = await openEngineHouse('docker')
  const docker = async (...args: readonly string[]): Promise<number> => {
    const start = performance.now()
    await run_(CLI, ['--host', `unix://${house.socket}`, ...args])
    return performance.now() - start
  }
  const api = new Api(house.daemon)
  const request = { template: house.template, driver: 'docker' }
  const [n, warmUp] = quick ? [15, 3] : [60, 10]
  const figures = { samples: Array<number>(), baseline: Array<number>(), exec: Array<number>(), bare: Array<number>() }
  for (let i = 0; i < warmUp + n; i++) {
    const start = performance.now()
    const id = await api.create(request)
    await api.run(id, ['/bin/true'])
    const took = performance.now() - start
    await api.delete(id)
    const bare = await docker('run', '--rm', '--network=none', TestDockerd.image, '/bin/true')
    if (i < warmUp) continue
    figures.samples.push(took)
    figures.baseline.push(bare)
  }
  const sandbox = await api.create(request)
  const container = 'cove-bench-raw'
  await docker('run', '--detach', '--name', container, '--network=none', TestDockerd.image, '/bin/sleep', '100000')
  for (let i = 0; i < warmUp + n; i++) {
    const start = performance.now()
    await api.run(sandbox, ['/bin/true'])
    const took = performance.now() - start
    const bare = await docker('exec', container, '/bin/true')
    if (i < warmUp) continue
    figures.exec.push(took)
    figures.bare.push(bare)
  }
  await docker('rm', '--force', container)
  api.close()
  const [p50, base] = [quantile(figures.samples, 0.5), quantile(figures.baseline, 0.5)]
  const [exec, bareExec] = [quantile(figures.exec, 0.5), quantile(figures.bare, 0.5)]
  return {
    name: 'docker-create',
    n: figures.samples.length,
    p50_ms: p50,
    p99_ms: quantile(figures.samples, 0.99),
    baseline_p50_ms: base,
    ratio: round(p50 / base),
    exec_p50_ms: exec,
    docker_exec_p50_ms: bareExec,
    exec_gain: round(bareExec / exec),
  }
}
