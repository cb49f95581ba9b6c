import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Api } from './lib/api.ts'
import { startDaemon } from './lib/daemon.ts'
import { findRuntime, rawContainers } from './lib/raw-container.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

const run_ = promisify(execFile)

/**
 * One child of a running sandbox with a Python that has been used, to the first result in the child, against a bare
 * checkpoint and restore of an idle container.
 */
export const run: Benchmark = async ({ quick }) => {
  const program = await findRuntime('runsc')
  if (program === undefined) return { name: 'gvisor-fork', n: 0, skipped: 'runsc is not installed' }
  await using daemon = await startDaemon(['--drivers', 'gvisor'])
  const api = new Api(daemon)
  const parent = await api.create({ driver: 'gvisor' })
  await api.run(parent, ['python3', '-c', 'import json'])
  const n = quick ? 5 : 30
  const samples: number[] = []
  const baseline: number[] = []
  for (let i = 0; i < n + 2; i++) {
    const start = performance.now()
    const { sandboxes } = await api.call<{ sandboxes: { id: string }[] }>('SandboxService/ForkSandbox', { id: parent })
    const child = sandboxes[0]?.id ?? ''
    await api.run(child, ['/bin/true'])
    const took = performance.now() - start
    await api.delete(child)
    const bare = await bareFork(program)
    if (i < 2) continue
    samples.push(took)
    baseline.push(bare)
  }
  api.close()
  const p50 = quantile(samples, 0.5)
  const base = quantile(baseline, 0.5)
  return { name: 'gvisor-fork', n: samples.length, p50_ms: p50, baseline_p50_ms: base, ratio: round(p50 / base) }
}

/** Milliseconds of `runsc checkpoint --leave-running` and `runsc restore` of one container that sleeps. */
async function bareFork(program: string): Promise<number> {
  await using raw = await rawContainers('runsc', program)
  const bundle = join(raw.rootfs, '..')
  const id = `cove-bench-fork-${process.pid}`
  const runsc = async (command: string): Promise<void> => {
    const script = `mount -t tmpfs none /proc/sys/net; exec "$0" --root "$1" --platform=systrap --network=none ${command}`
    await run_('unshare', [
      '-m',
      '--propagation',
      'slave',
      'sh',
      '-c',
      script,
      program,
      join(bundle, 'state'),
      bundle,
      id,
    ])
  }
  await run_('sed', ['-i', 's#"/bin/true"#"/bin/sleep","1000"#', join(bundle, 'config.json')])
  await runsc('run --detach --bundle "$2" "$3" </dev/null >/dev/null 2>&1')
  try {
    const start = performance.now()
    await runsc('checkpoint --leave-running --image-path "$2/image" "$3"')
    await runsc('restore --detach --image-path "$2/image" --bundle "$2" "$3-child" </dev/null >/dev/null 2>&1')
    return performance.now() - start
  } finally {
    await runsc('delete --force "$3"').catch(() => undefined)
    await runsc('delete --force "$3-child"').catch(() => undefined)
    await rm(join(bundle, 'image'), { recursive: true, force: true })
  }
}
