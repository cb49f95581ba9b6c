import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { GuestLink } from '@cove/guest-link'
import { isRoot, openHostRig, type HostParts } from '../../test/support/host-rig.ts'
import { probe, type Call } from '../../test/support/syscall-probe.ts'
import { createBubblewrapDriver } from '../bubblewrap/driver.ts'
import { createOciDriver } from '../oci/driver.ts'
import type { LaunchedDriver } from '../launched/driver.ts'
import { Stage } from '../conformance/index.ts'
import { ERRNO, RULES } from './rules.ts'
import { SYSCALLS, X32_BIT, type Architecture } from './syscalls.ts'

const architecture: Architecture = process.arch === 'arm64' ? 'arm64' : 'x64'
const user = isRoot ? 'root' : 'user'
const number = (name: string): number => SYSCALLS.get(name)?.numbers[architecture] ?? -1

const EPERM = `errno ${ERRNO.EPERM}`
const ENOSYS = `errno ${ERRNO.ENOSYS}`
const EAFNOSUPPORT = `errno ${ERRNO.EAFNOSUPPORT}`
const SIGSYS = 'signal 31'
const EBADF = 'errno 9'

const TOOLS: readonly [tool: string, open: (parts: HostParts) => LaunchedDriver][] = [
  ['bwrap', createBubblewrapDriver],
  // These two are told of the same rules in another form each.
  ['crun', (parts) => createOciDriver({ ...parts, runtime: 'crun' })],
  ['runc', (parts) => createOciDriver({ ...parts, runtime: 'runc' })],
]
const isInstalled = (tool: string) => ['/usr/bin', '/usr/sbin'].some((folder) => existsSync(`${folder}/${tool}`))

describe.each(TOOLS.filter(([tool]) => isInstalled(tool) && (isRoot || tool !== 'runc')))(
  'the filter inside a machine of %s',
  (tool, open) => {
    const stage = new Stage(() =>
      openHostRig({
        prefix: `${tool}-`,
        agent: 'child',
        open,
        traits: { users: [user], enforces: [], ownFiles: true, pausable: false },
      }),
    )
    let link: GuestLink
    beforeAll(async () => {
      await stage.open()
      link = await stage.link(await stage.create())
    })
    afterAll(async () => {
      await stage.expectCleared()
      await stage.close()
    })

    const outcome = async (call: Call): Promise<string | undefined> => (await probe(stage, link, [call], user))[0]

    it('is in force', async () => {
      const { stdout } = await stage.run(link, ['grep', '-E', 'Seccomp:|NoNewPrivs:', '/proc/self/status'], user)
      expect(stdout.replaceAll('\t', ' ')).toBe('NoNewPrivs: 1\nSeccomp: 2\n')
    })

    const plain = RULES.flatMap(({ names, cases, action }) =>
      cases !== undefined || typeof action === 'string'
        ? []
        : [{ names: names.trim().split(/\s+/), errno: `errno ${ERRNO[action.errno]}` }],
    )
    it.each(plain)('answers $errno to $names', async ({ names, errno }) => {
      const known = names.filter((name) => number(name) >= 0)
      const outcomes = await probe(
        stage,
        link,
        known.map((name) => [number(name)]),
        user,
      )
      expect(known.map((name, index) => [name, outcomes[index]])).toEqual(known.map((name) => [name, errno]))
    })

    it.each<[string, Call, string]>([
      ['clone of a user namespace', [number('clone'), 0x10000011], EPERM],
      ['clone of a mount namespace', [number('clone'), 0x00020011], EPERM],
      ['clone of a network namespace', [number('clone'), 0x40000011], EPERM],
      ['unshare of a user namespace', [number('unshare'), 0x10000000], EPERM],
      ['unshare of a mount namespace', [number('unshare'), 0x00020000], EPERM],
      ['unshare of a time namespace', [number('unshare'), 0x80], EPERM],
      ['unshare of file descriptors', [number('unshare'), 0x400], 'ok'],
      ['TIOCSTI', [number('ioctl'), -1, 0x5412], EPERM],
      ['TIOCSTI hidden behind high bits', [number('ioctl'), -1, 0x1_0000_5412], EPERM],
      ['TIOCLINUX', [number('ioctl'), -1, 0x541c], EPERM],
      ['another ioctl', [number('ioctl'), -1, 0x5401], EBADF],
      ['asking for the personality', [number('personality'), 0xffffffff], 'ok'],
      ['READ_IMPLIES_EXEC', [number('personality'), 0x0400000], EPERM],
      ['MMAP_PAGE_ZERO', [number('personality'), 0x0100000], EPERM],
      ['AF_UNIX', [number('socket'), 1, 1], 'ok'],
      ['AF_INET', [number('socket'), 2, 1], 'ok'],
      ['AF_INET6', [number('socket'), 10, 1], 'ok'],
      ['NETLINK_ROUTE', [number('socket'), 16, 3, 0], 'ok'],
      ['NETLINK_AUDIT', [number('socket'), 16, 3, 9], EAFNOSUPPORT],
      ['NETLINK_NETFILTER', [number('socket'), 16, 3, 12], EAFNOSUPPORT],
      ['AF_PACKET', [number('socket'), 17, 3], EAFNOSUPPORT],
      ['AF_ALG', [number('socket'), 38, 5], EAFNOSUPPORT],
      ['AF_VSOCK', [number('socket'), 40, 1], EAFNOSUPPORT],
      ['AF_XDP', [number('socket'), 44, 3], EAFNOSUPPORT],
      ['a pair of AF_TIPC', [number('socketpair'), 30, 1], EAFNOSUPPORT],
      ['a number that no kernel knows yet', [600], ENOSYS],
    ])('%s', async (_, call, expected) => {
      // In the words of a profile some refusals come with the error of whatever no rule names.
      const other = tool === 'runc' && expected === EPERM ? ENOSYS : expected
      expect([expected, other]).toContain(await outcome(call))
    })

    it.runIf(architecture === 'x64')('kills who speaks x32', async () => {
      expect(await outcome([X32_BIT + 39])).toBe(SIGSYS)
    })

    it.runIf(architecture === 'x64')('kills who speaks i386', async () => {
      expect(await outcome([-32])).toBe(SIGSYS)
    })
  },
)
