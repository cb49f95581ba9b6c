import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { GuestLink } from '@cove/guest-link'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { hasInternet, openHostRig } from '../../test/support/host-rig.ts'
import {
  LOOPBACK_PORT,
  NAMES,
  openNetworkWorld,
  PORT,
  WORLD,
  type NetworkWorld,
} from '../../test/support/network-world.ts'
import { noQemu, testGuestSystems } from '../../test/support/qemu-rig.ts'
import { smallRoot } from '../../test/support/small-root.ts'
import { Stage } from '../conformance/index.ts'
import { createQemuDriver } from './driver.ts'

const lookup = (name: string): Promise<readonly string[]> =>
  name in NAMES ? Promise.resolve(NAMES[name as keyof typeof NAMES]) : Promise.reject(new Error('no such name'))

const skip = noQemu ?? (hasInternet ? undefined : 'nftables or slirp4netns is not installed')

/** QEMU opens the machine's connections in the network namespace whose rules bubblewrap's stories tell one by one. */
describe.skipIf(skip !== undefined)(
  `QEMU with the network internet${skip === undefined ? '' : ` (skipped: ${skip})`}`,
  () => {
    let world: NetworkWorld
    let folder = ''
    const stage = new Stage(async () => {
      folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
      const rig = await openHostRig({
        prefix: 'qemu-',
        agent: 'child',
        open: (parts) => createQemuDriver({ ...parts, guestSystems: testGuestSystems, network: { lookup } }),
        startLauncher: (binary, state, installation) => world.startLauncher(binary, state, installation),
        traits: { users: ['root', 'user'], enforces: [], ownFiles: true, pausable: true, internet: true },
      })
      return { ...rig, from: await smallRoot(folder) }
    })

    beforeAll(async () => {
      world = await openNetworkWorld()
      await stage.open()
    })
    afterAll(async () => {
      await stage.close()
      await world[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    })
    afterEach(() => stage.expectCleared())

    const start = async (...allow: string[]): Promise<GuestLink> =>
      stage.link(await stage.create({ network: { kind: 'internet', allow } }))
    /** What each answers, tried at the same time. */
    const reach = async (link: GuestLink, targets: readonly (readonly [string, number])[]) => {
      const tries = targets.map(
        ([address, port], index) =>
          `( said=$(nc -w 3 ${address} ${port} </dev/null 2>/dev/null); echo "${index} \${said:-closed}" ) &`,
      )
      const { stdout } = await stage.shell(link, `${tries.join('\n')}\nwait`, 'root')
      return stdout
        .trim()
        .split('\n')
        .toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
    }

    it('reaches public addresses, also by name, and what is allowed besides', async () => {
      const link = await start(`${WORLD.lan4}:${PORT}`)
      expect(
        await reach(link, [
          [WORLD.public4, PORT],
          ['public.test', PORT],
          [WORLD.lan4, PORT],
        ]),
      ).toEqual([
        `0 internet ${WORLD.public4}`,
        `1 internet ${WORLD.public4}`,
        expect.stringMatching(/^2 (?!closed)/) as string,
      ])
      // By a name that only the host's resolver knows.
      expect((await stage.shell(link, 'cat /etc/resolv.conf')).stdout).toBe('nameserver 198.19.254.3\n')
    })

    it('denies the host, private networks, metadata and what leads there', async () => {
      const link = await start()
      const denied = [
        ...[WORLD.host4, WORLD.hostExtra4, WORLD.hostLan4, WORLD.neighbour4, WORLD.lan4].map(
          (to) => [to, PORT] as const,
        ),
        ...['10.99.0.1', '169.254.169.254', '100.64.0.1'].map((to) => [to, PORT] as const),
        // What QEMU itself answers for, and what leads to the host's loopback elsewhere.
        ...['198.19.254.2', '198.19.255.2', '10.0.2.2', '127.0.0.1'].map((to) => [to, LOOPBACK_PORT] as const),
      ]
      expect(await reach(link, denied)).toEqual(denied.map((_, index) => `${index} closed`))
    })
  },
)
