import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { GuestLink } from '@cove/guest-link'
import { LAYERS_PROGRAM, noGvisor } from '../../test/support/gvisor-rig.ts'
import { hasInternet, openHostRig, type HostRig } from '../../test/support/host-rig.ts'
import {
  LOOPBACK_PORT,
  NAMES,
  openNetworkWorld,
  PORT,
  WORLD,
  type NetworkWorld,
} from '../../test/support/network-world.ts'
import { reach, reachScript, readAnswers, tcp, udp, type Target } from '../../test/support/reach.ts'
import { codeOf, Stage } from '../conformance/index.ts'
import { savesMemory } from '@cove/domain'
import { createGvisorDriver } from './driver.ts'

const lookup = (name: string): Promise<readonly string[]> =>
  name in NAMES ? Promise.resolve(NAMES[name as keyof typeof NAMES]) : Promise.reject(new Error('no such name'))

const skip = noGvisor ?? (hasInternet ? undefined : 'nftables or slirp4netns is not installed')

/** The kernel inside opens its sockets in the network namespace whose rules bubblewrap's stories tell one by one. */
describe.skipIf(skip !== undefined)(
  `gVisor with the network internet${skip === undefined ? '' : ` (skipped: ${skip})`}`,
  () => {
    let world: NetworkWorld
    let rig: HostRig
    const stage = new Stage(async () => rig)

    beforeAll(async () => {
      world = await openNetworkWorld()
      rig = await openHostRig({
        prefix: 'gvisor-',
        agent: 'child',
        open: (parts) => createGvisorDriver({ ...parts, layersProgram: LAYERS_PROGRAM, network: { lookup } }),
        startLauncher: (binary, state, installation) => world.startLauncher(binary, state, installation),
        traits: { users: ['root', 'user'], enforces: [], ownFiles: true, pausable: true, internet: true },
      })
      await stage.open()
    }, 60_000)
    afterAll(async () => {
      await stage.close()
      await world[Symbol.asyncDispose]()
    })
    afterEach(() => stage.expectCleared())

    const start = async (...allow: string[]): Promise<GuestLink> =>
      stage.link(await stage.create({ network: { kind: 'internet', allow } }))
    const fromHost = async (targets: readonly Target[]): Promise<readonly string[]> =>
      readAnswers(await world.onHost(['bash', '-c', reachScript(targets)]))

    it('reaches public addresses, and by name', async () => {
      const link = await start()
      const targets = [tcp(WORLD.public4, PORT), udp(WORLD.public4, PORT), tcp(WORLD.public6, PORT)]
      const answers = [WORLD.public4, WORLD.public4, WORLD.public6].map((address) => `internet ${address}`)
      expect(await reach(stage, link, targets, 'user')).toEqual(answers)
      const named = await stage.run(link, ['/bin/bash', '-c', `cat < /dev/tcp/public.test/${PORT}`], 'user')
      expect(named.stdout).toMatch(/^internet /)
    })

    it('denies the host, private networks, metadata and what leads there', async () => {
      const addresses = [
        WORLD.host4,
        WORLD.hostExtra4,
        WORLD.hostLan4,
        WORLD.neighbour4,
        WORLD.lan4,
        WORLD.host6,
        WORLD.lan6,
      ]
      const more = ['10.99.0.1', '169.254.169.254', '100.64.0.1', '198.18.0.1', '64:ff9b::c0a8:4d02', '2002:a63:1::1']
      const targets = [...addresses, ...more].map((address) => tcp(address, PORT))
      expect((await fromHost(targets)).filter((answer) => answer === 'closed')).toEqual([])
      const link = await start()
      expect(await reach(stage, link, targets, 'root')).toEqual(targets.map(() => 'closed'))
      const datagrams = [udp(WORLD.host4, PORT), udp(WORLD.lan4, PORT)]
      expect(await reach(stage, link, datagrams, 'root')).toEqual(['closed', 'closed'])
      const loopback = ['127.0.0.1', '127.0.0.53', '::1', '10.0.2.2'].map((address) => tcp(address, LOOPBACK_PORT))
      expect(await reach(stage, link, loopback, 'root')).toEqual(loopback.map(() => 'closed'))
    })

    it('lets through what is allowed, and no more', async () => {
      const link = await start(`${WORLD.lan4}:${PORT}`)
      const targets = [tcp(WORLD.lan4, PORT), tcp(WORLD.lan4, PORT + 8), tcp(WORLD.hostLan4, PORT)]
      expect(await reach(stage, link, targets, 'root')).toEqual([`lan ${WORLD.lan4}`, 'closed', 'closed'])
    })

    it('sends nothing that passes by the rules, whoever asks', async () => {
      const link = await start()
      const script = `
import socket
for family, kind, protocol in ((socket.AF_INET, socket.SOCK_RAW, 255), (socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_PACKET, socket.SOCK_RAW, 3), (socket.AF_NETLINK, socket.SOCK_RAW, 12)):
    try:
        socket.socket(family, kind, protocol)
        print('open')
    except OSError as error:
        print('refused')
`
      const { stdout } = await stage.run(link, ['/usr/bin/python3', '-c', script], 'root')
      expect(stdout).toBe('refused\nrefused\nrefused\nrefused\n')
      for (const attempt of [
        '/usr/sbin/nft flush ruleset',
        '/usr/sbin/ip link set tap0 down',
        '/usr/sbin/ip route flush table all',
      ]) {
        const { exit } = await stage.shell(link, `${attempt} >/dev/null 2>&1`, 'root')
        expect([attempt, exit.kind === 'exited' && exit.code !== 0]).toEqual([attempt, true])
      }
      expect(await reach(stage, link, [tcp(WORLD.lan4, PORT)], 'root')).toEqual(['closed'])
    })

    it('refuses to save the memory of such a machine, which goes on', async () => {
      const machine = await stage.create({ network: { kind: 'internet', allow: [] } })
      const link = await stage.link(machine)
      if (!savesMemory(machine)) throw new Error('the machine cannot be saved')
      const context = { signal: AbortSignal.timeout(10_000), progress: () => undefined }
      expect(await codeOf(machine.snapshotMemory(stage.newSnapshot(), context))).toBe('unsupported')
      expect((await stage.shell(link, 'echo on')).stdout).toBe('on\n')
    })
  },
)
