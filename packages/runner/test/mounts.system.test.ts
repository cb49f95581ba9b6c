import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { eventually, isRoot, openBench, said } from './support/bench.ts'

const RANGE = { kind: 'range', base: 1_000_000, count: 65_536 } as const

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

  it('reach folders that only the daemon may enter', async () => {
    await using bench = await openBench()
    const path = (name: string): string => join(bench.folder, 'private', name)
    mkdirSync(join(bench.folder, 'private'), { mode: 0o700 })
    mkdirSync(path('low'))
    writeFileSync(path('low/file'), 'below')
    const folders = ['up', 'work'].map((name) => ({ path: path(name), mode: 0o700, owner: 'mapped-root' }) as const)
    const process = await bench.start('private', 'cat /mnt/file; echo above > /mnt/new; ls /mnt', {
      stdio: 'held',
      userNamespace: RANGE,
      folders,
      mounts: [
        { kind: 'overlay', lower: [path('low')], upper: path('up'), work: path('work'), target: '/mnt', mapped: true },
      ],
    })
    expect(await said(process)).toBe('belowfile\nnew\n')
    expect(readFileSync(path('up/new'), 'utf8')).toBe('above\n')
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
