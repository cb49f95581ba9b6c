import { execFile } from 'node:child_process'
import { readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Api } from './lib/api.ts'
import { startDaemon } from './lib/daemon.ts'
import { findRuntime, rawContainers } from './lib/raw-container.ts'
import { quantile, round, type Benchmark } from './lib/result.ts'

const run_ = promisify(execFile)
/** A Python that has loaded what programs use, and waits. */
const PYTHON = 'import json, re, decimal, email, http.client, time\nopen("/tmp/ready", "w").close()\ntime.sleep(100000)'
const UNTIL_READY = 'until [ -e /tmp/ready ]; do sleep 0.1; done'

/**
 * One child of a running sandbox with a Python that has been used, to the first result in the child. Baseline: a bare
 * `runsc restore` of a container with the same Python; what the `checkpoint` before it takes stands beside it, for a fork
 * has to save too.
 */
export const run: Benchmark = async ({ quick }) => {
  const program = await findRuntime('runsc')
  if (program === undefined) return { name: 'gvisor-fork', n: 0, skipped: 'runsc is not installed' }
  await using daemon = await startDaemon(['--drivers', 'gvisor'])
  const api = new Api(daemon)
  const parent = await api.create({ driver: 'gvisor' })
  const script = `setsid python3 -c "$0" </dev/null >/dev/null 2>&1 & ${UNTIL_READY}`
  await api.run(parent, ['sh', '-c', script, PYTHON])
  await using bare = await startBare(program)
  const n = quick ? 5 : 30
  const [samples, restores, checkpoints]: [number[], number[], number[]] = [[], [], []]
  for (let i = 0; i < n + 2; i++) {
    const start = performance.now()
    const { sandboxes, kind } = await api.call<{ sandboxes: { id: string }[]; kind: string }>(
      'SandboxService/ForkSandbox',
      { id: parent },
    )
    const child = sandboxes[0]?.id ?? ''
    await api.run(child, ['/bin/true'])
    const took = performance.now() - start
    if (!kind.endsWith('MEMORY')) throw new Error(`the child has only ${kind}`)
    await api.delete(child)
    const { checkpointMs, restoreMs } = await bare.fork()
    if (i < 2) continue
    samples.push(took)
    checkpoints.push(checkpointMs)
    restores.push(restoreMs)
  }
  api.close()
  const [p50, base, saving] = [samples, restores, checkpoints].map((each) => quantile(each, 0.5)) as [
    number,
    number,
    number,
  ]
  return {
    name: 'gvisor-fork',
    n: samples.length,
    p50_ms: p50,
    p99_ms: quantile(samples, 0.99),
    baseline_p50_ms: base,
    ratio: round(p50 / base),
    checkpoint_p50_ms: saving,
    ratio_with_checkpoint: round(p50 / (base + saving)),
  }
}

interface BareContainer extends AsyncDisposable {
  fork(): Promise<{ readonly checkpointMs: number; readonly restoreMs: number }>
}

/** A container that has the host's programs and runs the same Python. */
async function startBare(program: string): Promise<BareContainer> {
  await using stack = new AsyncDisposableStack()
  const raw = stack.use(await rawContainers('runsc', program))
  const bundle = join(raw.rootfs, '..')
  const id = `cove-bench-fork-${process.pid}`
  const child = `${id}-child`
  const runsc = async (command: string): Promise<number> => {
    const script = `mount -t tmpfs none /proc/sys/net; exec "$0" --root "$1/state" --platform=systrap --network=none ${command}`
    const start = performance.now()
    await run_('unshare', ['-m', '--propagation', 'slave', 'sh', '-c', script, program, bundle, id, child])
    return performance.now() - start
  }
  const config = JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')) as {
    process: { args: readonly string[] }
    mounts: readonly object[]
  }
  config.process.args = ['/usr/bin/python3', '-c', PYTHON]
  config.mounts = [...config.mounts, { destination: '/usr', type: 'bind', source: '/usr', options: ['rbind', 'ro'] }]
  for (const name of ['lib', 'lib64']) await symlink(`usr/${name}`, join(raw.rootfs, name))
  await writeFile(join(bundle, 'config.json'), JSON.stringify(config))
  stack.defer(async () => {
    for (const which of ['$3', '$2']) await runsc(`delete --force "${which}"`).catch(() => undefined)
  })
  await runsc('run --detach --bundle "$1" "$2" </dev/null >/dev/null 2>&1')
  await runsc(`exec "$2" /bin/sh -c '${UNTIL_READY}'`)
  const owned = stack.move()
  return {
    async fork() {
      const checkpointMs = await runsc('checkpoint --leave-running --image-path "$1/image" "$2"')
      const restoreMs = await runsc(
        'restore --detach --image-path "$1/image" --bundle "$1" "$3" </dev/null >/dev/null 2>&1',
      )
      await runsc('delete --force "$3"')
      await rm(join(bundle, 'image'), { recursive: true, force: true })
      return { checkpointMs, restoreMs }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
