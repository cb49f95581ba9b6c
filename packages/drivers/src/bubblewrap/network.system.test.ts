import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { GuestLink } from '@cove/guest-link'
import { hasInternet, isRoot, openHostRig, type HostRig } from '../../test/support/host-rig.ts'
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
import { createBubblewrapDriver } from './driver.ts'

const lookup = (name: string): Promise<readonly string[]> =>
  name in NAMES ? Promise.resolve(NAMES[name as keyof typeof NAMES]) : Promise.reject(new Error('no such name'))

/** One list for each denial; what is in it answers the host itself. */
const DENIED: Readonly<Record<string, readonly string[]>> = {
  'an address of the host': [WORLD.host4, WORLD.hostExtra4, WORLD.hostLan4, WORLD.host6, WORLD.hostLan6],
  'a neighbour of the host': [WORLD.neighbour4, '2a0a:1::1'],
  'a private network': [WORLD.lan4, '10.99.0.1', '172.16.5.5', '172.31.255.254', '192.168.5.5', WORLD.lan6],
  'link-local and metadata': [
    '169.254.169.254',
    '169.254.1.1',
    '100.100.100.200',
    '192.0.0.192',
    '168.63.129.16',
    'fd00:ec2::254',
  ],
  'a network between carriers': ['100.64.0.1', '100.127.255.254'],
  'a reserved or special network': [
    '198.18.0.1',
    '198.51.100.7',
    '203.0.113.7',
    '240.0.0.1',
    '3fff::1',
    '2001:db8::1',
    '4000::1',
    '100::1',
  ],
  'an IPv6 form of a private address': [
    '64:ff9b::a63:1',
    '64:ff9b::c0a8:4d02',
    '64:ff9b::7f00:1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::a63:1',
    '2002:a63:1::1',
    '2002:7f00:1::1',
    '2001:0:5ef5:79fb:0:59c:f59c:fffe',
    'fd99::1',
    'fec0::1',
  ],
  'an IPv6 form of an address of the host': ['64:ff9b::2d21:200a', '64:ff9b::2d21:2863'],
}

describe.skipIf(!isRoot || !hasInternet)('network internet, in a world of namespaces', () => {
  let world: NetworkWorld
  let rig: HostRig
  const stage = new Stage(async () => rig)

  beforeAll(async () => {
    world = await openNetworkWorld()
    rig = await openHostRig({
      prefix: 'bwrap-',
      agent: 'child',
      open: (parts) => createBubblewrapDriver({ ...parts, network: { lookup } }),
      startLauncher: (binary, state, installation) => world.startLauncher(binary, state, installation),
      traits: { users: ['root', 'user'], enforces: [], ownFiles: true, pausable: true, internet: true },
    })
    await stage.open()
  }, 30_000)
  afterAll(async () => {
    await stage.close()
    await world[Symbol.asyncDispose]()
  })
  afterEach(() => stage.expectCleared())

  const start = async (...allow: string[]): Promise<GuestLink> =>
    stage.link(await stage.create({ network: { kind: 'internet', allow } }))

  const fromHost = async (targets: readonly Target[]): Promise<readonly string[]> =>
    readAnswers(await world.onHost(['bash', '-c', reachScript(targets)]))

  it('reaches public addresses, over IPv4 and IPv6, TCP and UDP, as root and as user', async () => {
    const link = await start()
    const targets = [WORLD.public4, WORLD.public6].flatMap((address) => [tcp(address, PORT), udp(address, PORT)])
    const answers = [WORLD.public4, WORLD.public4, WORLD.public6, WORLD.public6].map((address) => `internet ${address}`)
    expect(await reach(stage, link, targets, 'user')).toEqual(answers)
    expect(await reach(stage, link, targets, 'root')).toEqual(answers)
    expect(await reach(stage, link, [tcp('64:ff9b::5db8:d822', PORT)])).toEqual(['internet 64:ff9b::5db8:d822'])
  })

  it.each(Object.entries(DENIED))('denies %s', async (_, addresses) => {
    const targets = addresses.map((address) => tcp(address, PORT))
    const open = await fromHost(targets)
    // The world would answer: what stands in the way is the policy alone.
    expect(open.filter((answer) => answer === 'closed')).toEqual([])
    const link = await start()
    expect(await reach(stage, link, targets, 'root')).toEqual(addresses.map(() => 'closed'))
  })

  it('denies the same over UDP', async () => {
    const targets = [udp(WORLD.host4, PORT), udp(WORLD.lan4, PORT)]
    expect(await fromHost(targets)).toEqual([`host ${WORLD.host4}`, `lan ${WORLD.lan4}`])
    expect(await reach(stage, await start(), targets)).toEqual(['closed', 'closed'])
  })

  it('denies the loopback of the host, also by the addresses that lead there', async () => {
    expect(await fromHost([tcp('127.0.0.1', LOOPBACK_PORT)])).toEqual(['host 127.0.0.1'])
    const link = await start()
    const ways = ['127.0.0.1', '127.0.0.53', '::1', '0.0.0.0', '::ffff:127.0.0.1', '198.19.255.1', '198.19.255.2']
    const more = ['198.19.255.3', '198.19.255.4', '198.19.255.255', 'fd00::2', 'fd00::3', 'fd00::4', '10.0.2.2']
    const targets = [...ways, ...more].flatMap((address) => [tcp(address, LOOPBACK_PORT), tcp(address, PORT)])
    expect(await reach(stage, link, targets, 'root')).toEqual(targets.map(() => 'closed'))
    expect(await reach(stage, link, [udp('198.19.255.2', LOOPBACK_PORT), udp('198.19.255.2', 53)])).toEqual([
      'closed',
      'closed',
    ])
  })

  it('denies mapped forms of private addresses', async () => {
    const link = await start()
    const forms = ['::ffff:192.168.77.2', '::ffff:169.254.169.254', '::ffff:45.33.32.10']
    expect(await fromHost(forms.map((form) => tcp(form, PORT)))).not.toContain('closed')
    expect(
      await reach(
        stage,
        link,
        forms.map((form) => tcp(form, PORT)),
      ),
    ).toEqual(forms.map(() => 'closed'))
  })

  it('denies an address that the host gets later', async () => {
    const link = await start()
    const later = tcp('45.33.50.1', PORT)
    expect(await reach(stage, link, [later])).toEqual(['internet 45.33.50.1'])
    await world.ip('addr', 'add', '45.33.50.1/24', 'dev', 'wan')
    try {
      expect(await fromHost([later])).toEqual(['host 45.33.50.1'])
      await expect.poll(() => reach(stage, link, [later]), { timeout: 5_000 }).toEqual(['closed'])
      expect(await reach(stage, link, [tcp('45.33.50.77', PORT)])).toEqual(['closed'])
    } finally {
      await world.ip('addr', 'del', '45.33.50.1/24', 'dev', 'wan')
    }
  })

  it('resolves names by the resolver on the loopback of the host, over UDP and TCP', async () => {
    const link = await start()
    const names = Object.keys(NAMES)
    const { stdout } = await stage.shell(link, `getent ahosts public.test; getent ahosts nothing.test || echo none`)
    expect(stdout).toContain(WORLD.public4)
    expect(stdout).toContain(WORLD.public6)
    expect(stdout).toContain('none')
    expect((await stage.shell(link, 'RES_OPTIONS=use-vc getent ahostsv4 public.test')).stdout).toContain(WORLD.public4)
    expect(await reach(stage, link, [tcp('public.test', PORT), tcp('only6.test', PORT)])).toEqual([
      `internet ${WORLD.public4}`,
      `internet ${WORLD.public6}`,
    ])
    expect(names).toContain('metadata.test')
  })

  it('denies names that resolve to what is denied', async () => {
    const link = await start()
    const names = Object.keys(NAMES).filter((name) => name !== 'public.test' && name !== 'only6.test')
    expect(names.length).toBeGreaterThan(5)
    const { stdout } = await stage.shell(link, names.map((name) => `getent ahosts ${name} | head -n 1`).join('; '))
    expect(stdout.trim().split('\n')).toHaveLength(names.length)
    expect(
      await reach(
        stage,
        link,
        names.map((name) => tcp(name, PORT)),
      ),
    ).toEqual(names.map(() => 'closed'))
  })

  it('lets in nothing from outside, invited or not', async () => {
    const link = await start()
    // The world's strangers answer each question from another port; only the one who was asked is heard.
    const hear = `exec 3<>/dev/udp/${WORLD.public4}/${PORT}; echo ask >&3; timeout 1 cat <&3`
    expect((await stage.run(link, ['/bin/bash', '-c', hear])).stdout).toBe(`internet ${WORLD.public4}\n`)
    const listener =
      'import socket; s=socket.socket(); s.bind(("0.0.0.0",80)); s.listen(); s.settimeout(2); print(s.accept()[1])'
    const heard = stage.run(link, ['/usr/bin/python3', '-c', listener])
    expect(await fromHost([tcp(WORLD.host4, 80), tcp('127.0.0.1', 80), tcp('198.19.255.100', 80)])).not.toContain('198')
    expect((await heard).stdout).toBe('')
  })

  it('gives nobody inside the means to change it', async () => {
    const link = await start()
    const tries = [
      'nft flush ruleset',
      'nft delete table inet cove',
      'ip link set tap0 down',
      'ip addr add 10.0.0.9/24 dev tap0',
      'ip link add v0 type veth',
      'unshare -Urn nft flush ruleset',
      'unshare -Ur nft flush ruleset',
      'unshare -n true',
      'echo 1 > /proc/sys/net/ipv4/ip_forward',
      'python3 -c "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)"',
      'python3 -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"',
    ]
    for (const user of ['root', 'user']) {
      for (const script of tries) {
        const { exit } = await stage.shell(link, `PATH=$PATH:/usr/sbin; ${script} 2>/dev/null`, user)
        expect([script, exit.kind === 'exited' && exit.code === 0]).toEqual([script, false])
      }
    }
    expect((await stage.shell(link, 'grep CapBnd /proc/self/status', 'root')).stdout).toMatch(/0000[0-9a-f]+/)
    expect(await reach(stage, link, [tcp(WORLD.lan4, PORT), tcp(WORLD.public4, PORT)], 'root')).toEqual([
      'closed',
      `internet ${WORLD.public4}`,
    ])
  })

  it('lets through what is allowed, and only that', async () => {
    const link = await start(`${WORLD.lan4}:${PORT}`, '10.99.0.0/16', '[fd12:77::/64]:7008', '10.5.0.0/16:7001')
    const open = [tcp(WORLD.lan4, PORT), udp(WORLD.lan4, PORT), tcp('10.99.3.4', PORT), tcp(WORLD.lan6, PORT + 8)]
    expect(await reach(stage, link, open)).toEqual([
      `lan ${WORLD.lan4}`,
      `lan ${WORLD.lan4}`,
      'internet 10.99.3.4',
      `lan ${WORLD.lan6}`,
    ])
    const shut = [tcp(WORLD.lan4, PORT + 8), tcp(WORLD.lan6, PORT), tcp('10.98.0.1', PORT), tcp('10.5.0.1', PORT)]
    expect(await fromHost(shut)).not.toContain('closed')
    expect(await reach(stage, link, shut)).toEqual(shut.map(() => 'closed'))
  })

  it('lets through a port of the loopback of the host when it is named, and no other', async () => {
    const link = await start(`host:${LOOPBACK_PORT}`)
    const [own, other] = [LOOPBACK_PORT, LOOPBACK_PORT + 1]
    expect(await reach(stage, link, [tcp('host.cove.internal', own), tcp('198.19.255.2', own)])).toEqual([
      'host 127.0.0.1',
      'host 127.0.0.1',
    ])
    const shut = [
      tcp('host.cove.internal', other),
      tcp('198.19.255.4', own),
      tcp('fd00::2', own),
      tcp(WORLD.host4, PORT),
    ]
    expect(await reach(stage, link, shut)).toEqual(shut.map(() => 'closed'))
  })

  it('lets through an address of the host when it is named', async () => {
    const link = await start(`${WORLD.hostLan4}:${PORT}`)
    expect(await reach(stage, link, [tcp(WORLD.hostLan4, PORT), tcp(WORLD.host4, PORT)])).toEqual([
      `host ${WORLD.hostLan4}`,
      'closed',
    ])
  })

  it('holds an allowed name to the addresses that it had at the start', async () => {
    const link = await start(`private.test:${PORT}`)
    expect((await stage.shell(link, 'cat /etc/hosts')).stdout).toContain(`${WORLD.lan4} private.test`)
    expect(await reach(stage, link, [tcp('private.test', PORT), tcp('private.test', PORT + 8)])).toEqual([
      `lan ${WORLD.lan4}`,
      'closed',
    ])
    expect(await codeOf(stage.create({ network: { kind: 'internet', allow: ['nothing.test:80'] } }))).toBe(
      'network-unavailable',
    )
    expect(await codeOf(stage.create({ network: { kind: 'internet', allow: ['mapped.test:80'] } }))).toBe(
      'network-unavailable',
    )
  })

  it('leaves a machine without a network as it was', async () => {
    const link = await stage.link(await stage.create())
    expect(await reach(stage, link, [tcp(WORLD.public4, PORT), tcp(WORLD.lan4, PORT)])).toEqual(['closed', 'closed'])
    expect((await stage.shell(link, 'cat /etc/resolv.conf; grep -c : /proc/net/dev')).stdout).toBe('1\n')
  })
})
