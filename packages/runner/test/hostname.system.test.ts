import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { expect, test } from 'vitest'
import { isRoot, openBench, type Bench } from './support/bench.ts'

/** A process in a host name space of its own, which says its name whenever it is asked by a signal. */
async function startNamed(bench: Bench) {
  const inside = 'trap "uname -n" USR1; echo ready; while :; do sleep 0.01; done'
  const process = await bench.start('named', `exec unshare --uts /bin/sh -c '${inside}'`, { stdio: 'held' })
  const said = async () => Buffer.from(await process.output('stdout')).toString()
  await expect.poll(said).toBe('ready\n')
  return { process, said }
}

test.skipIf(!isRoot)('names the machine that a process belongs to, and no other', async () => {
  await using bench = await openBench()
  const before = hostname()
  const { process, said } = await startNamed(bench)
  await bench.launcher.setHostname(process, 'taken')
  await process.signal(10, 'leader')
  await expect.poll(said).toBe('ready\ntaken\n')
  expect(hostname()).toBe(before)
  const launcher = await bench.launcherPid()
  expect(readlinkSync(`/proc/${launcher}/ns/uts`)).toBe(readlinkSync('/proc/self/ns/uts'))
})

test.skipIf(!isRoot)('names nothing by a pid that means another process now', async () => {
  await using bench = await openBench()
  const { process, said } = await startNamed(bench)
  const { pid, startTime } = process
  const refused = { code: 'wrong-state', message: 'the process has ended' }
  await expect(bench.launcher.setHostname({ pid, startTime: startTime + 1 }, 'taken')).rejects.toMatchObject(refused)
  await process.signal(10, 'leader')
  await expect.poll(said).toBe(`ready\n${hostname()}\n`)
})

test.skipIf(!isRoot)('never names the host', async () => {
  await using bench = await openBench()
  const before = hostname()
  const process = await bench.start('shares', 'sleep 60')
  await expect(bench.launcher.setHostname(process, 'taken')).rejects.toMatchObject({ code: 'wrong-state' })
  for (const name of ['', 'x'.repeat(65)]) {
    await expect(bench.launcher.setHostname(process, name)).rejects.toMatchObject({ code: 'invalid-argument' })
  }
  expect(hostname()).toBe(before)
})
