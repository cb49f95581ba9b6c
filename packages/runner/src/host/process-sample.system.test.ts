import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { systemClock } from '@cove/domain/system'
import { expect, test } from 'vitest'
import { fromPs, parsePsTime, readUsage, sampleProcess, type ProcessSample } from './process-sample.ts'

async function start(
  program: string,
  ...args: string[]
): Promise<{ pid: number; child: ChildProcess } & AsyncDisposable> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(child, 'spawn')
  return {
    pid: child.pid ?? 0,
    child,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

const BUSY = "process.stdout.write('x'); const big = Buffer.alloc(64e6, 1); for (;;) big[0]++"

test('a process that works is told from one that sleeps, by /proc and by ps alike', async () => {
  await using idle = await start('sleep', '1000')
  await using busy = await start(process.execPath, '-e', BUSY)
  await once(busy.child.stdout ?? busy.child, 'data')
  await expect.poll(async () => (await readUsage(busy.pid))?.cpuMs).toBeGreaterThan(50)
  const quiet = { state: 'sleeping', cpuMs: expect.any(Number), memoryBytes: expect.any(Number) }
  expect(await readUsage(idle.pid)).toEqual(quiet)
  expect(await fromPs(idle.pid)).toEqual(quiet)
  const usage = await readUsage(busy.pid)
  expect(usage?.memoryBytes).toBeGreaterThan(64e6)
  expect((await fromPs(busy.pid))?.memoryBytes).toBeGreaterThan(64e6)
  expect((await readUsage(idle.pid))?.memoryBytes).toBeLessThan(16e6)
})

test('samples have the share of a processor from the second on, and end with the process', async () => {
  await using busy = await start(process.execPath, '-e', BUSY)
  const samples: ProcessSample[] = []
  for await (const sample of sampleProcess(busy.pid, { everyMs: 30, clock: systemClock })) {
    samples.push(sample)
    if (samples.length === 6) busy.child.kill('SIGKILL')
  }
  expect(samples[0]?.cpuPercent).toBeUndefined()
  const shares = samples.slice(1, 6).map(({ cpuPercent }) => cpuPercent ?? 0)
  expect(Math.max(...shares)).toBeGreaterThan(5)
})

test('a pid that belongs to another process by now, or to none, is none', async () => {
  await using idle = await start('sleep', '1000')
  const stat = readFileSync(`/proc/${idle.pid}/stat`, 'latin1')
  const startTime = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  expect(await readUsage(idle.pid, startTime)).toBeDefined()
  expect(await readUsage(idle.pid, startTime + 1)).toBeUndefined()
  idle.child.kill('SIGKILL')
  await once(idle.child, 'exit')
  expect(await readUsage(idle.pid)).toBeUndefined()
  expect(await fromPs(idle.pid)).toBeUndefined()
  await expect(readUsage(0)).rejects.toMatchObject({ code: 'invalid-argument' })
})

test('sampling ends when it is told to', async () => {
  const controller = new AbortController()
  const seen: ProcessSample[] = []
  const options = { everyMs: 60_000, clock: systemClock, signal: controller.signal }
  for await (const sample of sampleProcess(process.pid, options)) {
    seen.push(sample)
    controller.abort()
  }
  expect(seen).toHaveLength(1)
})

test.each([
  ['00:00:00', 0],
  ['0:00.25', 250],
  ['01:02:03', 3_723_000],
  ['2-00:00:01', 172_801_000],
  ['12:34', 754_000],
])('ps tells a time as %s: %d ms', (text, ms) => {
  expect(parsePsTime(text)).toBe(ms)
})
