import { existsSync } from 'node:fs'
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Machine, MachineSpec, TemplateRoot } from '@cove/domain'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { isRoot, openHostRig, type HostParts } from '../../test/support/host-rig.ts'
import { noSmallRoot, smallRoot } from '../../test/support/small-root.ts'
import { createBubblewrapDriver } from '../bubblewrap/driver.ts'
import { codeOf, Stage } from '../conformance/index.ts'
import { createOciDriver } from '../oci/driver.ts'
import type { LaunchedDriver } from './driver.ts'

const DRIVERS: Readonly<Record<string, (parts: HostParts) => LaunchedDriver>> = {
  bwrap: createBubblewrapDriver,
  crun: (parts) => createOciDriver({ ...parts, runtime: 'crun' }),
  runc: (parts) => createOciDriver({ ...parts, runtime: 'runc' }),
}
const isInstalled = (name: string) => ['/usr/bin', '/usr/sbin'].some((folder) => existsSync(join(folder, name)))

for (const [tool, open] of Object.entries(DRIVERS)) {
  const why = isRoot ? (isInstalled(tool) ? noSmallRoot : `${tool} is not installed`) : 'images belong to root here'

  describe.skipIf(why !== undefined)(`images by ${tool}${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
    let folder: string
    let image: TemplateRoot & { kind: 'layers' }
    let top: string
    const stage = new Stage(() =>
      openHostRig({
        prefix: `${tool}-`,
        agent: 'child',
        open,
        traits: { users: ['root', 'user'], enforces: [], ownFiles: true, pausable: true },
      }),
    )
    beforeAll(() => stage.open())
    afterAll(() => stage.close())
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
      image = await smallRoot(folder)
      top = join(folder, 'top')
      await mkdir(top)
      await chmod(top, 0o755)
    })
    afterEach(async () => {
      await stage.expectCleared()
      await rm(folder, { recursive: true })
    })

    const make = (spec: Partial<MachineSpec> = {}): Promise<Machine> =>
      stage.create({ from: { kind: 'layers', lower: [top, ...image.lower] }, ...spec })
    const run = async (machine: Machine, script: string, user = 'root') => {
      const result = await stage.shell(await stage.link(machine), script, user)
      return result.stdout + result.stderr
    }

    it('bring users and files of their own, and get a name, memory and devices', async () => {
      await writeFile(join(top, 'note'), 'from the image')
      const machine = await make({ hostname: 'brave-fox' })
      const script = [
        'cat /note; echo',
        'hostname; cat /etc/hostname',
        "grep -c 'brave-fox' /etc/hosts",
        'id -un',
        'touch /tmp/x /run/x && echo made',
        'echo x > /dev/null && head -c 2 /dev/zero | wc -c',
        'test -d /proc/self && echo proc; ls /sys 2>/dev/null | wc -l',
      ]
      expect(await run(machine, script.join('; '))).toBe(
        'from the image\nbrave-fox\nbrave-fox\n1\nroot\nmade\n2\nproc\n0\n',
      )
      expect(await run(machine, 'id -un; pwd; touch /tmp/y && echo made', 'user')).toBe('user\n/home/user\nmade\n')
    })

    it('lie over each other in as many layers as an image has at most, whatever their names take', async () => {
      const deep = join(folder, 'a-rather-long-name-for-a-folder-of-layers'.repeat(3))
      const layers = await Promise.all(
        Array.from({ length: 126 }, async (_, at) => {
          const layer = join(deep, String(at))
          await mkdir(layer, { recursive: true, mode: 0o755 })
          await writeFile(join(layer, 'top'), String(at))
          await writeFile(join(layer, `of-${at}`), 'x')
          return layer
        }),
      )
      const machine = await make({ from: { kind: 'layers', lower: [...layers, ...image.lower] } })
      expect(await run(machine, 'cat /top; echo; ls / | grep -c ^of-')).toBe('0\n126\n')
    })

    it('without an account `user` run everything as root, and know no other name', async () => {
      await mkdir(join(top, 'etc'))
      await writeFile(join(top, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\n')
      const link = await stage.link(await make())
      expect((await stage.run(link, ['id', '-u'])).stdout).toBe('0\n')
      expect((await stage.run(link, ['id', '-u'], '33')).stdout).toBe('33\n')
      expect(await codeOf(stage.run(link, ['id', '-u'], 'www-data'))).toBe('user-not-found')
    })

    it('with nothing but a program run it', async () => {
      const empty = join(folder, 'empty')
      await mkdir(empty)
      await chmod(empty, 0o755)
      const link = await stage.link(await stage.create({ from: { kind: 'layers', lower: [empty] } }))
      expect((await stage.run(link, ['/run/.cove-agent', 'version'])).exit).toEqual({ kind: 'exited', code: 0 })
      expect(await codeOf(stage.shell(link, 'true'))).not.toBe('no error')
    })

    it('stay as they are, whatever is done inside', async () => {
      const before = await readdir(image.lower[0] ?? '')
      expect(await run(await make(), 'rm -rf /etc /home /var; echo x > /bin/new; chmod 777 /bin; echo done')).toBe(
        'done\n',
      )
      expect(await readdir(image.lower[0] ?? '')).toEqual(before)
      expect(await run(await make(), 'cat /etc/passwd | wc -l')).toBe('2\n')
    })

    it('lie over the host as well, over its /usr too', async () => {
      await mkdir(join(top, 'usr/share/cove-test'), { recursive: true })
      await writeFile(join(top, 'usr/share/cove-test/note'), 'in usr')
      await writeFile(join(top, 'note'), 'in root')
      const machine = await stage.create({ from: { kind: 'host', layers: [top] } })
      expect(await run(machine, 'cat /note /usr/share/cove-test/note; test -x /usr/bin/env && echo host')).toBe(
        'in rootin usrhost\n',
      )
      expect(existsSync('/usr/share/cove-test')).toBe(false)
    })

    describe('with links in the place of what is mounted', () => {
      const places = ['tmp', 'run', 'proc', 'dev']
      const hostile: Readonly<Record<string, string>> = {
        'to the /etc of whoever follows': '/etc',
        'out of the root': '../../../../../../../../etc',
        'to the root': '/',
        'to the stage of the launcher': '../../sys/disk',
        'to nowhere': '/nonexistent/folder',
        'to itself': 'itself',
      }

      it.each(Object.keys(hostile))('%s, keep all of it inside', async (name) => {
        const target = hostile[name] ?? ''
        for (const place of places) await symlink(target === 'itself' ? place : target, join(top, place))
        const hosts = await readFile('/etc/passwd', 'utf8')
        const machine = await make()
        expect(await run(machine, 'echo x > /tmp/note && cat /tmp/note /etc/passwd; echo y > /dev/null')).toBe(
          `x\n${await readFile(join(image.lower[0] ?? '', 'etc/passwd'), 'utf8')}`,
        )
        expect(await run(machine, 'test -d /proc/self && test -c /dev/zero && ls /run | wc -l')).toMatch(/^\d\n$/)
        expect(await readFile('/etc/passwd', 'utf8')).toBe(hosts)
        for (const place of places) expect((await lstat(join(top, place))).isSymbolicLink()).toBe(true)
      })

      it('mount volumes inside, too', async () => {
        const source = join(folder, 'volume')
        await mkdir(source)
        await writeFile(join(source, 'note'), 'of the volume')
        for (const [path, target] of [
          ['out', '../../../../../../../../var/tmp'],
          ['abs', '/var/tmp'],
          ['last', '/etc'],
        ] as const) {
          await symlink(target, join(top, path))
        }
        const mount = (target: string) => ({ source, target, readOnly: false })
        const machine = await make({ volumes: [mount('/out/one'), mount('/abs/two'), mount('/last')] })
        expect(
          await run(machine, 'cat /var/tmp/one/note; cat /var/tmp/two/note; cat /last/note; ls /etc/note'),
        ).toMatch(/^(of the volume){3}ls: /)
        expect(existsSync('/var/tmp/one')).toBe(false)
        expect((await lstat(join(top, 'last'))).isSymbolicLink()).toBe(true)
      })

      it('of what is written into /etc, write it inside', async () => {
        await mkdir(join(top, 'etc'))
        await symlink(join(folder, 'victim'), join(top, 'etc/hosts'))
        await symlink('../../../../../../../../etc/hostname', join(top, 'etc/hostname'))
        await writeFile(join(folder, 'victim'), 'untouched')
        const machine = await make({ hostname: 'brave-fox' })
        expect(await run(machine, 'cat /etc/hostname; grep -c brave-fox /etc/hosts')).toBe('brave-fox\n1\n')
        expect(await readFile(join(folder, 'victim'), 'utf8')).toBe('untouched')
      })

      it('in the place of /etc do no harm', async () => {
        const bare = join(folder, 'bare')
        await mkdir(join(bare, 'bin'), { recursive: true })
        await chmod(bare, 0o755)
        await symlink('/var/../../../../../etc', join(bare, 'etc'))
        const before = await readFile('/etc/hostname', 'utf8').catch(() => '')
        await stage.link(await stage.create({ from: { kind: 'layers', lower: [bare] }, hostname: 'evil' }))
        expect(await readFile('/etc/hostname', 'utf8').catch(() => '')).toBe(before)
      })
    })

    it('with a file where a folder has to be are refused, and nothing is left', async () => {
      await writeFile(join(top, 'run'), 'a file')
      expect(await codeOf(make())).not.toBe('no error')
      expect(await stage.rig.leftovers()).toEqual([])
    })

    it('whose layers are gone are refused, and nothing is left', async () => {
      const gone = join(folder, 'gone')
      expect(await codeOf(stage.create({ from: { kind: 'layers', lower: [gone] } }))).not.toBe('no error')
      expect(await stage.rig.leftovers()).toEqual([])
    })
  })
}
