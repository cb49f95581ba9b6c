import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Machine, VolumeMount } from '@cove/domain'
import { describe, expect, it, type TestContext } from 'vitest'
import { codeOf, PLAIN, type Stage } from './stage.ts'

const AT = '/data/deep/volume'
const BAD: readonly { name: string; target: string }[] = [
  { name: 'the root itself', target: '/' },
  { name: 'a relative path', target: 'data' },
  { name: 'a path that climbs', target: '/data/../etc' },
  { name: 'a path with an empty part', target: '/data//x' },
  { name: 'a path in /proc', target: '/proc/sys' },
  { name: 'the place of devices', target: '/dev' },
  { name: "the place of the machine's own things", target: '/run/x' },
]

export function volumesChapter(stage: Stage): void {
  const supported = (context: TestContext) => {
    if (stage.rig.traits.volumes !== true) context.skip('this driver has no volumes here')
  }
  const shell = async (machine: Machine, script: string) => {
    const [user] = stage.rig.traits.users
    return stage.shell(await stage.link(machine), script, user)
  }

  describe('volumes', () => {
    it('are folders of the host, keep the numbers of owners, and outlive machines', async (context) => {
      supported(context)
      await withFolder(async (source) => {
        const volumes: VolumeMount[] = [{ source, target: AT, readOnly: false }]
        const first = await stage.create({ volumes })
        const { stdout } = await shell(
          first,
          `cat ${AT}/note; ls -ln ${AT}/note | awk '{print $3}'; echo new > ${AT}/made`,
        )
        const { uid } = await stat(join(source, 'note'))
        // With one id only, all files are that one's.
        expect(stdout).toMatch(process.getuid?.() === 0 ? `kept\n${uid}\n` : /^kept\n\d+\n$/)
        await stage.driver.destroy(first.id)
        expect(await readFile(join(source, 'made'), 'utf8')).toBe('new\n')
        const writer = process.getuid?.() !== 0 ? uid : stage.rig.traits.users[0] === 'root' ? 0 : 1000
        expect((await stat(join(source, 'made'))).uid).toBe(writer)
        const second = await stage.create({ volumes })
        expect((await shell(second, `cat ${AT}/made`)).stdout).toBe('new\n')
      })
    })

    it('are read-only for everybody inside when they are said to be', async (context) => {
      supported(context)
      await withFolder(async (source) => {
        const machine = await stage.create({ volumes: [{ source, target: AT, readOnly: true }] })
        for (const attempt of ['echo x > note', 'echo x > made', 'rm note', 'chmod 777 note', 'mkdir more']) {
          const { exit } = await shell(machine, `cd ${AT} && cat note && ${attempt} 2>/dev/null`)
          expect([attempt, exit.kind === 'exited' && exit.code !== 0]).toEqual([attempt, true])
        }
        expect(await readFile(join(source, 'note'), 'utf8')).toBe('kept\n')
      })
    })

    it('are the same for all machines that have them', async (context) => {
      supported(context)
      await withFolder(async (source) => {
        const volumes: VolumeMount[] = [{ source, target: AT, readOnly: false }]
        const [a, b] = await Promise.all([stage.create({ volumes }), stage.create({ volumes })])
        await shell(a, `echo said > ${AT}/word`)
        expect((await shell(b, `cat ${AT}/word; echo heard > ${AT}/word`)).stdout).toBe('said\n')
        expect((await shell(a, `cat ${AT}/word`)).stdout).toBe('heard\n')
      })
    })

    it('are there again after a restart of the daemon', async (context) => {
      supported(context)
      await withFolder(async (source) => {
        await stage.create({ volumes: [{ source, target: AT, readOnly: false }] })
        await stage.restart()
        const [found] = await Array.fromAsync(stage.driver.recover())
        if (found?.kind !== 'running') throw new Error(`not running: ${found?.kind}`)
        expect((await shell(found.machine, `cat ${AT}/note`)).stdout).toBe('kept\n')
      })
    })

    it.each(BAD)('are not mounted at $name', async ({ target }) => {
      if (stage.rig.traits.volumes === undefined) return
      const volumes: VolumeMount[] = [{ source: tmpdir(), target, readOnly: true }]
      expect(stage.driver.validate({ ...PLAIN, volumes }).map(({ field }) => field)).toContain('volumes')
      expect(['invalid-argument', 'unsupported']).toContain(await codeOf(stage.create({ volumes })))
      expect(await stage.rig.leftovers()).toEqual([])
    })

    it('whose folder is gone are an error that leaves nothing', async (context) => {
      supported(context)
      const volumes: VolumeMount[] = [{ source: join(tmpdir(), 'cove-test-nonexistent'), target: AT, readOnly: false }]
      expect(await codeOf(stage.create({ volumes }))).not.toBe('no error')
      expect(await stage.rig.leftovers()).toEqual([])
    })
  })
}

async function withFolder(story: (folder: string) => Promise<void>): Promise<void> {
  const outer = await mkdtemp(join(tmpdir(), 'cove-test-'))
  const folder = join(outer, 'volume')
  try {
    await mkdirOpen(folder)
    await writeFile(join(folder, 'note'), 'kept\n')
    if (process.getuid?.() === 0) await chown(join(folder, 'note'), 1000, 1000)
    await story(folder)
  } finally {
    await rm(outer, { recursive: true })
  }
}

async function mkdirOpen(path: string): Promise<void> {
  await mkdir(path)
  await chmod(path, 0o777)
}
