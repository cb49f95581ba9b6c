import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { CgroupSpec } from '../src/index.ts'
import { eventually, isAlive, isRoot, openBench, said } from './support/bench.ts'

const V1 = '/sys/fs/cgroup'
const hasV1 = existsSync(join(V1, 'pids/tasks'))

function group(controller: string, set: CgroupSpec['set'] = []): CgroupSpec {
  const path = join(V1, controller, `cove-test-${randomBytes(4).toString('hex')}`)
  return { path, set, join: true }
}

describe.runIf(isRoot && hasV1)('control groups', () => {
  it('hold their limits, and are gone after the destroy', async () => {
    await using bench = await openBench()
    const pids = group('pids', [{ file: 'pids.max', value: '5', required: true }])
    const freezer = group('freezer', [{ file: 'no.such.file', value: '1', required: false }])
    const nested = { path: join(pids.path, 'inner'), set: [], join: false }
    const script = 'cat /proc/self/cgroup; for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done'
    const process = await bench.start('limited', script, { stdio: 'held', cgroups: [pids, freezer, nested] })
    const text = await said(process)
    expect(text).toContain(`pids:${pids.path.slice(`${V1}/pids`.length)}\n`)
    expect(text).toMatch(/fork.*Resource temporarily unavailable|Cannot fork/)
    expect(process.cgroupProblems).toEqual([expect.stringContaining('no.such.file')])
    expect(readFileSync(join(pids.path, 'cgroup.procs'), 'utf8').trim().split('\n').length).toBeGreaterThan(2)
    await bench.launcher.destroy('limited')
    expect([pids.path, freezer.path, nested.path].filter(existsSync)).toEqual([])
  })

  it('end a workload that reaches its memory limit', async () => {
    await using bench = await openBench()
    const memory = group('memory', [{ file: 'memory.limit_in_bytes', value: '16777216', required: true }])
    const process = await bench.start('hungry', 'x=$(head -c 200000000 /dev/zero | tr "\\0" x)', { cgroups: [memory] })
    const exit = await process.exited
    expect(exit.kind === 'signaled' ? exit.signal : exit).not.toEqual({ kind: 'exited', code: 0 })
    await bench.launcher.destroy('hungry')
  })

  it('that are required and cannot be had refuse the start', async () => {
    await using bench = await openBench()
    const pids = group('pids', [{ file: 'no.such.file', value: '1', required: true }])
    await expect(bench.start('no', 'true', { cgroups: [pids] })).rejects.toMatchObject({
      code: 'limit-not-enforceable',
    })
    expect(existsSync(pids.path)).toBe(false)
  })

  it('that exist already are neither joined nor removed', async () => {
    await using bench = await openBench()
    const pids = group('pids')
    mkdirSync(pids.path)
    await expect(bench.start('no', 'true', { cgroups: [pids] })).rejects.toMatchObject({ code: 'already-exists' })
    expect(existsSync(pids.path)).toBe(true)
    execFileSync('rmdir', [pids.path])
  })

  it('that are frozen are thawed to be killed', async () => {
    await using bench = await openBench()
    const freezer = group('freezer')
    const process = await bench.start('frozen', 'sleep 1000', { cgroups: [freezer] })
    writeFileSync(join(freezer.path, 'freezer.state'), 'FROZEN')
    await eventually(() => readFileSync(join(freezer.path, 'freezer.state'), 'utf8') === 'FROZEN\n' || undefined)
    await bench.launcher.destroy('frozen')
    expect(isAlive(process.pid)).toBe(false)
    expect(existsSync(freezer.path)).toBe(false)
  })

  it('end a fork bomb', async () => {
    await using bench = await openBench()
    const pids = group('pids', [{ file: 'pids.max', value: '100', required: true }])
    await bench.start('bomb', 'bomb() { bomb & bomb & }; bomb 2>/dev/null; wait', { cgroups: [pids] })
    const failed = (): number => Number(readFileSync(join(pids.path, 'pids.events'), 'utf8').replace('max ', ''))
    await eventually(() => failed() > 0 || undefined)
    await bench.launcher.destroy('bomb')
    expect(existsSync(pids.path)).toBe(false)
  })

  it('find what has left its session and lost its parents', async () => {
    await using bench = await openBench()
    const pids = group('pids')
    const process = await bench.start('daemon', '(setsid sleep 1000 & ) ; (setsid setsid sleep 1000 &)', {
      cgroups: [pids],
    })
    await process.exited
    const left = await eventually(() => {
      const found = readFileSync(join(pids.path, 'cgroup.procs'), 'utf8').trim().split('\n').map(Number)
      return found.length === 2 ? found : undefined
    })
    await bench.launcher.destroy('daemon')
    expect(left.filter(isAlive)).toEqual([])
  })
})

describe.runIf(isRoot && existsSync('/usr/bin/bwrap'))('under a bwrap monitor', () => {
  const argv = ['/usr/bin/bwrap', '--ro-bind', '/', '/', '--unshare-pid', '--proc', '/proc', '/bin/sleep', '1000']

  it('the init is found, remembered, and ended also when the monitor is dead', async () => {
    await using bench = await openBench()
    const monitor = await bench.start('bwrap', '', { argv })
    const init = await eventually(async () => await monitor.initPid())
    expect(readFileSync(`/proc/${init}/status`, 'utf8')).toMatch(/NSpid:\t\d+\t1\n/)
    await monitor.signal(9, 'leader')
    expect(await monitor.exited).toEqual({ kind: 'signaled', signal: 9 })
    expect(isAlive(init)).toBe(true)
    expect(await monitor.initPid()).toBe(init)
    await bench.launcher.destroy('bwrap')
    expect(isAlive(init)).toBe(false)
  })

  it('the init is ended with its monitor by the next launcher', async () => {
    await using bench = await openBench()
    const monitor = await bench.start('bwrap', '', { argv })
    const init = await eventually(async () => await monitor.initPid())
    process.kill(await bench.launcherPid(), 'SIGKILL')
    await eventually(async () => await bench.launcher.get('bwrap').catch(() => undefined))
    await bench.launcher.destroy('bwrap')
    expect([monitor.pid, init].filter(isAlive)).toEqual([])
  })
})
