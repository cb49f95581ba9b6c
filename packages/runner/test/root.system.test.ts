import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { CgroupSpec, HostProcess } from '../src/index.ts'
import { eventually, isAlive, isRoot, openBench } from './support/bench.ts'

const RANGE = { kind: 'range', base: 1_000_000, count: 65_536 } as const
const V1 = '/sys/fs/cgroup'
const hasV1 = existsSync(join(V1, 'pids/tasks'))

function group(controller: string, set: CgroupSpec['set'] = []): CgroupSpec {
  const path = join(V1, controller, `cove-test-${randomBytes(4).toString('hex')}`)
  return { path, set, join: true }
}

const said = async (process: HostProcess): Promise<string> => {
  await process.exited
  const [out, err] = [await process.output('stdout'), await process.output('stderr')]
  return Buffer.from(out).toString() + Buffer.from(err).toString()
}

describe.runIf(isRoot)('a user namespace with a range of ids', () => {
  it('makes root inside a nobody outside, with folders of its own', async () => {
    await using bench = await openBench()
    const folder = join(bench.folder, 'mapped')
    const process = await bench.start(
      'ids',
      `id -u; cat /proc/self/uid_map; echo x > ${folder}/f; chown 7:7 ${folder}/f`,
      {
        stdio: 'held',
        userNamespace: RANGE,
        folders: [{ path: folder, mode: 0o755, owner: 'mapped-root' }],
        removeOnDestroy: [folder],
      },
    )
    expect(await said(process)).toMatch(/^0\n +0 +1000000 +65536\n$/)
    expect(statSync(folder).uid).toBe(RANGE.base)
    expect(statSync(join(folder, 'f')).uid).toBe(RANGE.base + 7)
  })

  it('keeps the host out of reach: no capability there, no setgroups left over', async () => {
    await using bench = await openBench()
    const script = 'id -G; mount -t tmpfs none /mnt 2>&1; kill -0 1 2>&1; cat /etc/shadow 2>&1'
    const process = await bench.start('caps', script, { stdio: 'held', userNamespace: RANGE })
    const text = await said(process)
    expect(text.split('\n')[0]).toBe('0')
    expect(text).toMatch(/mount:.*(denied|permission)/i)
    expect(text).toMatch(/shadow: Permission denied/)
  })
})

describe.runIf(isRoot)('mounts', () => {
  it('overlay a mapped folder of the host: writable inside, untouched outside, unseen by the host', async () => {
    await using bench = await openBench()
    const path = (name: string): string => join(bench.folder, name)
    mkdirSync(path('low'), { mode: 0o755 })
    writeFileSync(path('low/file'), 'below', { mode: 0o644 })
    const script = `cd ${path('all')}; stat -c %u:%g file; cat file; echo above > file; rm -f nothing; mkdir d; cat file`
    const folders = ['up', 'work', 'all'].map(
      (name) => ({ path: path(name), mode: 0o755, owner: 'mapped-root' }) as const,
    )
    const process = await bench.start('overlay', `${script}; ls /proc/self/fd`, {
      stdio: 'held',
      userNamespace: RANGE,
      folders,
      mounts: [
        {
          kind: 'overlay',
          lower: [path('low')],
          upper: path('up'),
          work: path('work'),
          target: path('all'),
          mapped: true,
        },
      ],
      removeOnDestroy: folders.map((folder) => folder.path),
    })
    expect(await said(process)).toBe('0:0\nbelowabove\n0\n1\n2\n3\n')
    expect(readFileSync(path('low/file'), 'utf8')).toBe('below')
    expect(readFileSync(path('up/file'), 'utf8')).toBe('above\n')
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(bench.folder)
    await bench.launcher.destroy('overlay')
    expect(readdirSync(bench.folder).toSorted()).toEqual(['low', 's'])
  })

  it('stack many mapped folders, bind read-only, and give a tmpfs its size', async () => {
    await using bench = await openBench()
    const path = (name: string): string => join(bench.folder, name)
    const lower = Array.from({ length: 20 }, (_, index) => path(`low${index}`))
    for (const [index, folder] of lower.entries()) {
      mkdirSync(folder)
      writeFileSync(join(folder, `only${index}`), '')
      writeFileSync(join(folder, 'same'), String(index))
    }
    for (const name of ['all', 'tmp']) mkdirSync(path(name))
    const script = [
      `ls ${path('all')} | wc -l; cat ${path('all')}/same; echo`,
      `touch ${path('tmp')}/ro/x 2>&1`,
      `head -c 2000000 /dev/zero > ${path('tmp')}/big; stat -c %s ${path('tmp')}/big`,
    ].join('; ')
    const process = await bench.start('stack', script, {
      stdio: 'held',
      userNamespace: RANGE,
      mounts: [
        { kind: 'tmpfs', target: path('tmp'), sizeBytes: 1 << 20, mode: 0o755 },
        {
          kind: 'overlay',
          lower,
          upper: join(path('tmp'), 'up'),
          work: join(path('tmp'), 'work'),
          target: path('all'),
          mapped: true,
        },
        { kind: 'bind', source: path('low0'), target: join(path('tmp'), 'ro'), readOnly: true },
      ],
    })
    const text = await said(process)
    expect(text).toMatch(/^21\n0\n/)
    expect(text).toContain('Read-only file system')
    expect(Number(/^(\d+)$/m.exec(text.split('system\n')[1] ?? '')?.[1])).toBeLessThanOrEqual(1 << 20)
  })

  it('put a disk image behind a loop device that goes away with the process', async () => {
    await using bench = await openBench()
    const image = join(bench.folder, 'disk.img')
    const disk = join(bench.folder, 'disk')
    mkdirSync(disk)
    execFileSync('truncate', ['-s', '16M', image])
    execFileSync('mkfs.ext4', ['-q', '-F', '-O', '^has_journal', image])
    const low = join(bench.folder, 'low')
    mkdirSync(low)
    const all = join(bench.folder, 'all')
    mkdirSync(all)
    const mounts = [
      { kind: 'image', image, target: disk },
      { kind: 'overlay', lower: [low], upper: `${disk}/up`, work: `${disk}/work`, target: all, mapped: true },
    ] as const
    const script = `head -c 100000000 /dev/zero > ${all}/big; echo $?; rm ${all}/big; [ -e ${all}/kept ] && echo again; echo k > ${all}/kept`
    const first = await bench.start('image', script, { stdio: 'held', userNamespace: RANGE, mounts })
    expect(await said(first)).toMatch(/^1\n/)
    await bench.launcher.destroy('image')
    const second = await bench.start('image', script, { stdio: 'held', userNamespace: RANGE, mounts })
    expect(await said(second)).toMatch(/^1\nagain\n/)
    await bench.launcher.destroy('image')
    await eventually(() => !execFileSync('losetup', ['-a']).toString().includes(image) || undefined)
  })

  it('that fail say which one', async () => {
    await using bench = await openBench()
    const mounts = [{ kind: 'bind', source: '/no/such', target: '/mnt', readOnly: true }] as const
    await expect(bench.start('bad', 'true', { userNamespace: RANGE, mounts })).rejects.toThrow(/no\/such.*No such file/)
    expect(await bench.launcher.list()).toEqual([])
  })

  it('come before files written inside, limits and the out-of-memory score hold', async () => {
    await using bench = await openBench()
    const script =
      'cat /proc/sys/user/max_user_namespaces; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; unshare -U true 2>&1'
    const process = await bench.start('writes', script, {
      stdio: 'held',
      userNamespace: { ...RANGE, base: RANGE.base + RANGE.count },
      mounts: [{ kind: 'tmpfs', target: '/mnt', sizeBytes: 4096, mode: 0o755 }],
      writes: [{ path: '/proc/sys/user/max_user_namespaces', text: '0' }],
      rlimits: [{ name: 'nofile', soft: 100, hard: Number.POSITIVE_INFINITY }],
      oomScoreAdj: 345,
    })
    const text = await said(process)
    const hard = execFileSync('/bin/sh', ['-c', 'ulimit -Hn']).toString()
    expect(text).toContain(`0\n100\n${hard}345\n`)
    expect(text).toContain('No space left')
  })
})

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

describe('removing', () => {
  it('takes many, deep and locked folders, follows no link, and does not hold up other calls', async () => {
    await using bench = await openBench()
    const folder = join(bench.folder, 'm')
    const outside = join(bench.folder, 'outside')
    mkdirSync(outside)
    writeFileSync(join(outside, 'precious'), 'x')
    const process = await bench.start('messy', 'true', {
      folders: [{ path: folder, mode: 0o700 }],
      removeOnDestroy: [folder, join(bench.folder, 'never-there')],
    })
    await process.exited
    for (let index = 0; index < 3000; index += 1) writeFileSync(join(folder, `file${index}`), '')
    symlinkSync(outside, join(folder, 'link'))
    execFileSync('/bin/sh', ['-c', `cd ${folder}; for i in $(seq 400); do mkdir d; cd d; done; mkdir -m 0 locked`])
    const destroyed = bench.launcher.destroy('messy')
    await bench.start('other', 'true')
    await destroyed
    expect(existsSync(folder)).toBe(false)
    expect(readFileSync(join(outside, 'precious'), 'utf8')).toBe('x')
  })

  it('stops at a mount, says so, and goes on when it is gone', async () => {
    await using bench = await openBench()
    const folder = join(bench.folder, 'm')
    await bench.start('mounted', 'true', { folders: [{ path: folder, mode: 0o700 }], removeOnDestroy: [folder] })
    if (!isRoot) return
    const inner = join(folder, 'inner')
    mkdirSync(inner)
    execFileSync('mount', ['-t', 'tmpfs', 'none', inner])
    try {
      writeFileSync(join(inner, 'precious'), 'x')
      await expect(bench.launcher.destroy('mounted')).rejects.toMatchObject({ code: 'driver-failed' })
      expect(existsSync(join(inner, 'precious'))).toBe(true)
    } finally {
      execFileSync('umount', [inner])
    }
    await bench.launcher.destroy('mounted')
    expect(existsSync(folder)).toBe(false)
  })
})

describe.runIf(isRoot)('a full disk', () => {
  it('refuses starts with no-space, leaves nothing, and still takes exits', async () => {
    await using base = await openBench()
    const tiny = join(base.folder, 'tiny')
    mkdirSync(tiny)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', tiny])
    try {
      await using bench = await openBench({ stateDir: join(tiny, 's') })
      const early = await bench.start('early', 'sleep 1000')
      const folder = join(bench.folder, 'm')
      const filler = join(tiny, 'filler')
      try {
        writeFileSync(filler, Buffer.alloc(1 << 20))
      } catch {
        // Filled to the brim.
      }
      const folders = [{ path: folder, mode: 0o700 }]
      await expect(bench.start('late', 'true', { folders })).rejects.toMatchObject({ code: 'no-space' })
      expect(existsSync(folder)).toBe(false)
      expect(readdirSync(join(tiny, 's/records'))).toEqual(['early.record'])
      await early.signal(9, 'leader')
      expect(await early.exited).toEqual({ kind: 'signaled', signal: 9 })
      expect(await bench.record('early')).toMatch(/^exit signaled 9 /m)
      execFileSync('rm', [filler])
      await bench.start('late', 'true', { folders })
    } finally {
      await eventually(() => {
        try {
          execFileSync('umount', [tiny], { stdio: 'ignore' })
          return true
        } catch {
          return undefined
        }
      })
    }
  })
})

describe('after 200 starts', () => {
  it('the launcher has no more descriptors, children and memory than before', async () => {
    await using bench = await openBench()
    const pid = await bench.launcherPid()
    const held = (): number => readdirSync(`/proc/${pid}/fd`).length
    const round = async (index: number): Promise<void> => {
      const process = await bench.start(`n${index}`, 'true', {
        stdio: 'held',
        blobs: [{ fd: 5, data: Buffer.from('x') }],
        listen: [{ fd: 3, path: join(bench.folder, 'socket'), mode: 0o600 }],
        ...(isRoot ? { userNamespace: RANGE } : {}),
      })
      await process.exited
      await bench.launcher.destroy(process.id)
    }
    await round(0)
    const before = held()
    for (let index = 1; index <= 200; index += 1) await round(index)
    expect(held()).toBe(before)
    expect(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')).toBe('')
    const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
    expect(resident).toBeLessThan(8192)
  })
})
