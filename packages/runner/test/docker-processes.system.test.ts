import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { missingForDockerd } from '@cove/docker-engine/testing'
import { distantEngine } from './support/changed-engine.ts'
import { collect, DockerBench, say } from './support/docker-bench.ts'

const missing = missingForDockerd()
if (missing !== undefined) console.log(`skipped: processes in containers: ${missing}`)

describe.skipIf(missing !== undefined)('a process in a container', () => {
  let bench: DockerBench
  beforeAll(async () => {
    bench = await DockerBench.start()
  })
  afterAll(async () => {
    await bench?.[Symbol.asyncDispose]()
  })

  const programs = async (container: string): Promise<string[]> => {
    const found = await bench.engine.listProcesses(container, '-o pid,comm')
    return found.map(([, program = '']) => program)
  }

  test('has the pid that the host knows it by', async () => {
    await using environment = await bench.ready()
    // Another one of the same name, and one whose arguments look like it.
    const others = [
      await environment.newProcess('sleep', '1001'),
      await environment.newProcess('sh', '-c', 'sleep 1002'),
    ]
    for (const other of others) await other.start()
    const proc = await environment.newProcess('sleep', '1000')
    await proc.start()
    const found = await bench.engine.listProcesses(environment.container, '-o pid,args')
    expect(found.filter(([, ...words]) => words.join(' ').endsWith('sleep 1000')).map(([pid]) => pid)).toEqual([
      String(proc.pid),
    ])
    await proc.stop()
    for (const other of others) expect(await other.isRunning()).toBe(true)
  })

  test('is ended with all that it has started, by a shell inside where its pids are of another machine', async () => {
    await using environment = await bench.ready({ engine: distantEngine(bench.engine) })
    const proc = await environment.newProcess(
      'sh',
      '-c',
      "trap '' TERM; (setsid sleep 1000 &); echo up; while :; do sleep 1; done",
    )
    const lines = collect(proc)
    await proc.start()
    expect([proc.pid, await proc.isRunning()]).toEqual([undefined, true])
    await expect.poll(() => lines).toEqual(['up'])
    expect(await proc.stop({ graceMs: 300 })).toEqual({ kind: 'signaled', signal: 9 })
    expect(await programs(environment.container)).toEqual(['docker-init', 'cat'])
    const waiting = await environment.newProcess('sh', '-c', 'sleep 0.5 & exit 3')
    const begun = performance.now()
    expect(await waiting.withWaitOn('sleep').run()).toEqual({ kind: 'exited', code: 3 })
    expect(performance.now() - begun).toBeGreaterThan(450)
  })

  test('that the kernel ends for want of memory is told so', async () => {
    await using environment = await bench.ready({ memoryBytes: 32 * 1024 * 1024 })
    const hog = await environment.newProcess('dd', 'if=/dev/zero', 'of=/dev/null', 'bs=200M', 'count=1')
    expect(await hog.run()).toEqual({ kind: 'out-of-memory' })
    const killed = await environment.newProcess('sh', '-c', 'kill -9 $$')
    expect(await killed.run()).toEqual({ kind: 'signaled', signal: 9 })
  })

  test.each([200_000, 1_300_000, 3_000_000])('loses none of %d lines to a reader that comes late', async (count) => {
    await using environment = await bench.ready()
    const proc = await environment.newProcess('sh', '-c', `head -c ${count} /dev/zero | tr '\\0' '\\n'; echo end >&2`)
    const gate = Promise.withResolvers<void>()
    let lines = 0
    proc.withOutput(({ stream }) => {
      lines += stream === 'stdout' ? 1 : 0
      return lines === 1 ? gate.promise : undefined
    })
    await proc.start()
    // Longer than the engine waits for whoever reads.
    setTimeout(gate.resolve, 3500)
    expect(await proc.wait()).toEqual({ kind: 'exited', code: 0 })
    expect(lines).toBe(count)
  })

  test('can be stopped while nobody reads its output', async () => {
    await using environment = await bench.ready()
    const proc = await environment.newProcess('yes')
    const pipe = proc.stdoutPipe()
    await proc.start()
    await expect.poll(() => pipe.readableLength).toBeGreaterThan(0)
    expect(await proc.stop()).toEqual({ kind: 'signaled', signal: 15 })
    pipe.destroy()
  })

  test('has nothing of the variables of this program', async () => {
    await using environment = await bench.ready({ environment: { GIVEN: '1' } })
    process.env['COVE_TEST_SECRET'] = 'x'
    try {
      const names = (await say(environment, 'env')).split('\n').map((line) => line.split('=')[0])
      expect(new Set(names)).toEqual(
        new Set(['COVE_EXEC', 'FROM_IMAGE', 'GIVEN', 'HOME', 'HOSTNAME', 'PATH', 'PWD', 'SHLVL']),
      )
    } finally {
      delete process.env['COVE_TEST_SECRET']
    }
  })
})
