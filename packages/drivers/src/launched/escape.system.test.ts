import { once } from 'node:events'
import { access, readFile, readlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { Readable } from 'node:stream'
import { afterEach, beforeAll, afterAll, describe, expect, it } from 'vitest'
import type { Machine, MachineSpec } from '@cove/domain'
import type { GuestLink } from '@cove/guest-link'
import { isRoot, openHostRig, type HostParts, type HostRig } from '../../test/support/host-rig.ts'
import { Stage, type Result } from '../conformance/index.ts'
import { CAPABILITIES } from './capabilities.ts'
import { skipped } from '../../test/support/runtimes.ts'
import { createBubblewrapDriver } from '../bubblewrap/driver.ts'
import { createOciDriver } from '../oci/driver.ts'
import type { LaunchedDriver } from './driver.ts'

/** The strongest user inside first. */
const USERS = isRoot ? ['root', 'user'] : ['user']
const MiB = 1024 * 1024

const required = (value: number) => ({ value, required: true })
const bits = (value: bigint) => value.toString(2).replaceAll('0', '').length

/** What root and user inside a machine of the host's programs try, and do not get. `tool` begins ids of records. */
function escapeStories(tool: string, open: (parts: HostParts) => LaunchedDriver): void {
  let rig: HostRig
  const stage = new Stage(async () => {
    rig = await openHostRig({
      prefix: `${tool}-`,
      agent: 'child',
      open,
      traits: { users: USERS, enforces: [], ownFiles: true, pausable: isRoot },
    })
    return rig
  })
  beforeAll(() => stage.open())
  afterAll(() => stage.close())
  afterEach(() => stage.expectCleared())

  async function machine(spec: Partial<MachineSpec> = {}): Promise<{ machine: Machine; link: GuestLink }> {
    const made = await stage.create(spec)
    return { machine: made, link: await stage.link(made) }
  }

  async function expectAlive(link: GuestLink): Promise<void> {
    expect((await stage.run(link, ['true'])).exit).toEqual({ kind: 'exited', code: 0 })
  }

  const python = (link: GuestLink, script: string, user?: string): Promise<Result> =>
    stage.run(link, ['/usr/bin/python3', '-c', script], user)

  describe.each(USERS)('%s inside a machine', (user) => {
    it('sees no process of the host', async () => {
      const { link } = await machine()
      const { stdout } = await stage.shell(link, 'cat /proc/[0-9]*/cmdline | tr "\\0" " "; ls -d /proc/[0-9]*', user)
      expect(stdout).not.toContain('vitest')
      expect(stdout.match(/^\/proc\/\d+$/gm)?.length).toBeLessThan(10)
    })

    it('reads nothing of the host but its programs', async () => {
      const { link } = await machine()
      const secrets = [
        '/etc/shadow',
        '/etc/machine-id',
        '/root/.bashrc',
        rig.parts.stateDir,
        process.cwd(),
        '/sys/kernel',
      ]
      for (const path of secrets) {
        expect([path, (await stage.run(link, ['ls', path], user)).exit]).toEqual([path, { kind: 'exited', code: 2 }])
      }
      const { stdout } = await stage.run(link, ['cat', '/etc/passwd'], user)
      expect(stdout).not.toBe(await readFile('/etc/passwd', 'utf8'))
    })

    it('follows links inside only', async () => {
      const { link } = await machine()
      await link.symlink(rig.parts.stateDir, '/tmp/out')
      await link.symlink('../../../../../../../../../etc/passwd', '/tmp/up')
      await expect(link.list('/tmp/out')[Symbol.asyncIterator]().next()).rejects.toMatchObject({
        code: 'file-not-found',
      })
      const { content } = await link.readFile('/tmp/up')
      const text = Buffer.concat(await Array.fromAsync(content)).toString()
      expect(text).toContain('user:x:1000')
      expect(text).not.toBe(await readFile('/etc/passwd', 'utf8'))
    })

    it('reaches no network, no port and no abstract socket of the host', async () => {
      const servers = [createServer(), createServer()]
      const name = `\0cove-test-${process.pid}`
      const [tcp, abstract] = servers
      tcp?.listen(0, '127.0.0.1')
      abstract?.listen(name)
      await Promise.all(servers.map((server) => once(server, 'listening')))
      try {
        const address = tcp?.address()
        const port = typeof address === 'object' ? address?.port : 0
        const { link } = await machine()
        const script = [
          'import socket',
          'def reach(family, address):',
          '    s = socket.socket(family)',
          '    s.settimeout(2)',
          '    try: s.connect(address); print("reached")',
          '    except OSError as e: print(type(e).__name__)',
          `reach(socket.AF_INET, ("127.0.0.1", ${port}))`,
          `reach(socket.AF_UNIX, "\\0cove-test-${process.pid}")`,
          'reach(socket.AF_INET, ("169.254.169.254", 80))',
          'print([name for _, name in socket.if_nameindex() if name != "lo"])',
        ].join('\n')
        const { stdout } = await python(link, script, user)
        expect(stdout).toBe('ConnectionRefusedError\nConnectionRefusedError\nOSError\n[]\n')
      } finally {
        for (const server of servers) server.close()
      }
    })

    it('signals nobody outside', async () => {
      const { link } = await machine()
      const { stdout } = await stage.shell(link, `kill -0 ${process.pid} 2>&1; kill -9 -1; echo unreached`, user)
      expect(stdout).toMatch(/No such process/)
      expect((await stage.run(link, ['true'], user)).exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('mounts nothing and makes no namespace', async () => {
      const { link } = await machine()
      for (const command of [
        'mount -t tmpfs none /mnt',
        'mount --bind /etc /mnt',
        'umount /proc',
        'umount -l /usr',
        'unshare -m true',
        'unshare -U true',
        'unshare -n true',
        'unshare -r chroot / true',
      ]) {
        const { exit } = await stage.shell(link, `${command} 2>/dev/null`, user)
        expect([command, exit.kind === 'exited' && exit.code !== 0]).toEqual([command, true])
      }
    })

    it('changes no setting of the kernel', async () => {
      const { link } = await machine()
      const { stdout } = await stage.shell(
        link,
        'find /proc/sys /proc/irq /proc/bus /proc/sysrq-trigger -type f -writable 2>/dev/null | head -5',
        user,
      )
      expect(stdout).toBe('')
    })

    it('gets no device and no kernel memory', async () => {
      const { link } = await machine()
      const { stdout } = await stage.shell(link, 'ls /dev', user)
      const known = 'console core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero'.split(' ')
      expect(
        stdout
          .trim()
          .split('\n')
          .filter((name) => !known.includes(name)),
      ).toEqual([])
      for (const command of ['mknod /tmp/disk b 254 0', 'mknod /tmp/mem c 1 1', 'head -c 1 /proc/kcore', 'dmesg']) {
        const { exit } = await stage.shell(link, `${command} >/dev/null 2>&1`, user)
        expect([command, exit.kind === 'exited' && exit.code !== 0]).toEqual([command, true])
      }
    })

    it('does not reach the agent: neither its descriptors nor its memory', async () => {
      const { link } = await machine()
      const fds = await stage.shell(link, 'readlink /proc/1/fd/* /proc/1/exe; ls /proc/self/fd | wc -l', user)
      // Standard streams, and the folder that ls itself reads.
      expect(fds.stdout).toBe('4\n')
      const attach =
        'import ctypes; l = ctypes.CDLL(None, use_errno=True); print(l.ptrace(16, 1, 0, 0), ctypes.get_errno())'
      expect((await python(link, attach, user)).stdout).toBe('-1 1\n')
      expect((await stage.shell(link, 'head -c 1 /proc/1/mem 2>/dev/null', user)).stdout).toBe('')
    })

    it('has only the capabilities that are listed', async () => {
      const { link } = await machine()
      const status = (await stage.run(link, ['cat', '/proc/self/status'], user)).stdout
      const set = (name: string) => BigInt(`0x${new RegExp(`^${name}:\\s+(\\w+)$`, 'm').exec(status)?.[1] ?? 'ffff'}`)
      expect(bits(set('CapBnd'))).toBeLessThan(isRoot ? CAPABILITIES.length : 42)
      expect(bits(set('CapEff'))).toBe(user === 'root' ? CAPABILITIES.length - 1 : 0)
      expect(set('CapAmb')).toBe(0n)
      expect(status).toContain('NoNewPrivs:\t1')
    })
  })

  describe('what is written inside', () => {
    it.runIf(isRoot)('to /usr and /etc stays inside', async () => {
      const { link } = await machine()
      const before = await readFile('/usr/bin/env')
      const script =
        'echo evil > /usr/bin/env && echo evil > /usr/bin/cove-test-evil && rm /etc/ld.so.cache && rm -r /usr/share/doc'
      expect((await stage.shell(link, script, 'root')).exit).toEqual({ kind: 'exited', code: 0 })
      expect((await readFile('/usr/bin/env')).equals(before)).toBe(true)
      await expect(access('/usr/bin/cove-test-evil')).rejects.toThrow('ENOENT')
      await access('/etc/ld.so.cache')
      const { link: other } = await machine()
      expect((await stage.run(other, ['/usr/bin/env', 'true'])).exit).toEqual({ kind: 'exited', code: 0 })
    })

    it.runIf(isRoot)('belongs to ids that mean nothing on the host', async () => {
      const { machine: made } = await machine()
      const status = await readFile(`/proc/${await rig.agentPid(made.id)}/status`, 'utf8')
      expect(Number(/^Uid:\s+(\d+)/m.exec(status)?.[1])).toBeGreaterThanOrEqual(0x1000_0000)
    })

    it.runIf(isRoot)('has no user namespace left to make', async () => {
      const { link } = await machine()
      expect((await stage.run(link, ['cat', '/proc/sys/user/max_user_namespaces'])).stdout).toBe('0\n')
    })

    it('gains nothing from set-user-id', async () => {
      const { link } = await machine()
      const owner = USERS[0] ?? 'user'
      await stage.shell(link, 'cp /usr/bin/id /tmp/id && chmod 6755 /tmp/id', owner)
      const plain = await stage.run(link, ['id', '-u'], 'user')
      expect((await stage.run(link, ['/tmp/id', '-u'], 'user')).stdout).toBe(plain.stdout)
    })

    it('shares no namespace with the host', async () => {
      const { machine: made } = await machine()
      const pid = await rig.agentPid(made.id)
      for (const kind of ['user', 'mnt', 'pid', 'ipc', 'uts', 'net', 'cgroup']) {
        expect(await readlink(`/proc/${pid}/ns/${kind}`)).not.toBe(await readlink(`/proc/self/ns/${kind}`))
      }
    })
  })

  describe.runIf(isRoot)('a bomb', () => {
    it('of memory ends the process and says so, and the agent lives', async () => {
      const { machine: made, link } = await machine({ limits: { memoryBytes: required(96 * MiB) } })
      const { exit } = await python(link, 'x = [bytearray(1 << 20) for _ in range(1000)]', 'root')
      expect(exit).toEqual({ kind: 'out-of-memory' })
      await expectAlive(link)
      expect((await made.stats()).memoryBytes).toBeLessThan(128 * MiB)
    })

    it('of memory in /tmp and /dev/shm does not reach the agent either', async () => {
      const { link } = await machine({ limits: { memoryBytes: required(96 * MiB) } })
      const { exit, stderr } = await stage.shell(link, 'head -c 500M /dev/zero > /tmp/bomb', 'user')
      expect(exit).toEqual({ kind: 'exited', code: 1 })
      expect(stderr).toContain('No space left on device')
      await stage.shell(link, 'head -c 500M /dev/zero > /dev/shm/bomb', 'user')
      await expectAlive(link)
    })

    it('of watches is felt by its own machine only', async () => {
      const [hostile, other] = [await machine(), await machine()]
      // The kernel counts them per user, and a user of a namespace for its maker too.
      const bomb = [
        'import ctypes, sys, time',
        'libc = ctypes.CDLL(None)',
        'while libc.inotify_init1(0) >= 0: pass',
        'print("full", flush=True)',
        'time.sleep(60)',
      ].join('\n')
      const argv = ['/usr/bin/python3', '-c', bomb]
      const { events } = await hostile.link.start({ id: 'bomb' as never, argv, env: {}, user: 'user' })
      for await (const event of events) if (event.type === 'output') break
      const watched = await other.link.watch('/tmp')
      await other.link.writeFile('/tmp/seen', Readable.from([Buffer.from('x')]))
      for await (const event of watched) {
        expect(event).toMatchObject({ path: 'seen' })
        break
      }
    })

    it('of processes is contained', async () => {
      const { machine: made, link } = await machine({ limits: { processes: required(64) } })
      const bomb = 'import os, time\nwhile True:\n  try: os.fork()\n  except OSError: time.sleep(1)'
      const started = await link.start({
        id: 'bomb' as never,
        argv: ['/usr/bin/python3', '-c', bomb],
        env: {},
        user: 'user',
      })
      await expect.poll(async () => (await made.stats()).processes, { timeout: 20_000 }).toBeGreaterThan(60)
      expect((await made.stats()).processes).toBeLessThanOrEqual(64 + 32)
      // The group of the workload is full; the agent is not in it and still answers.
      expect((await link.processes()).length).toBe(1)
      await link.signal(started.info.id, 9)
      // What is left is the agent and the tool that watches: runc alone has about ten threads, and they count.
      await expect.poll(async () => (await made.stats()).processes, { timeout: 20_000 }).toBeLessThan(20)
      await expectAlive(link)
    })

    it('of files is contained by a disk of a fixed size', async () => {
      const { link } = await machine({ limits: { diskBytes: required(64 * MiB) } })
      for (const path of ['/home/user/bomb', '/var/tmp/bomb']) {
        const { exit, stderr } = await stage.shell(link, `head -c 500M /dev/zero > ${path}`, 'user')
        expect(exit).toEqual({ kind: 'exited', code: 1 })
        expect(stderr).toContain('No space left on device')
        await stage.run(link, ['rm', path])
      }
      await stage.shell(link, 'head -c 500M /dev/zero > /usr/share/bomb', 'root')
      await expectAlive(link)
    })

    it('of work gets its share and leaves the agent its own', async () => {
      const { link } = await machine({ limits: { cpus: required(0.2) } })
      const busy =
        'import time\nend = time.monotonic() + 1.5\nwhile time.monotonic() < end: pass\nprint(time.process_time())'
      const bomb = python(link, busy, 'user')
      const answered = await Promise.race([link.processes().then(() => 'the agent'), bomb.then(() => 'the work')])
      expect(answered).toBe('the agent')
      // Without the limit it would be 1.5 seconds where a processor is free.
      expect(Number((await bomb).stdout)).toBeLessThan(0.8)
    })
  })
}

describe('bubblewrap', () => {
  escapeStories('bwrap', createBubblewrapDriver)
})

for (const runtime of ['crun', 'runc'] as const) {
  const why = skipped(runtime)
  describe.skipIf(why !== undefined)(`${runtime}${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
    escapeStories(runtime, (parts) => createOciDriver({ ...parts, runtime }))
  })
}
