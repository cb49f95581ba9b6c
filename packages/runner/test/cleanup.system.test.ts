import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { eventually, isRoot, openBench } from './support/bench.ts'

const RANGE = { kind: 'range', base: 1_000_000, count: 65_536 } as const

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
