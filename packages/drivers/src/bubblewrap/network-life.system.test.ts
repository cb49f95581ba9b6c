import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { newMachineId, type MachineId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import type { GuestLink } from '@cove/guest-link'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { childrenOf, hasInternet, isRoot, openHostRig, type HostRig } from '../../test/support/host-rig.ts'
import { openNetworkWorld, PORT, WORLD, type NetworkWorld } from '../../test/support/network-world.ts'
import { reach, tcp } from '../../test/support/reach.ts'
import { codeOf, Stage } from '../conformance/index.ts'
import { createBubblewrapDriver } from './driver.ts'

const INTERNET = { kind: 'internet', allow: [] } as const
const PUBLIC = [tcp(WORLD.public4, PORT)]
const OPEN = [`internet ${WORLD.public4}`]

describe.skipIf(!isRoot || !hasInternet)('the life of a network', () => {
  let world: NetworkWorld
  let rig: HostRig
  const stage = new Stage(async () => rig)

  beforeAll(async () => {
    world = await openNetworkWorld({ inet6: false })
    rig = await openHostRig({
      prefix: 'bwrap-',
      agent: 'child',
      open: createBubblewrapDriver,
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

  const start = async (id?: MachineId): Promise<{ id: MachineId; link: GuestLink }> => {
    const machine = await stage.create({ network: INTERNET }, id)
    return { id: machine.id, link: await stage.link(machine) }
  }

  const keeperPid = async (id: MachineId): Promise<number> => {
    const keeper = await rig.parts.launcher.get(`network-${id}`)
    if (keeper === undefined) throw new Error('there is no keeper')
    return keeper.pid
  }

  const eventually = async (link: GuestLink, answers: readonly string[]) => {
    await expect.poll(() => reach(stage, link, PUBLIC), { timeout: 10_000 }).toEqual(answers)
  }

  it('works on a host without IPv6', async () => {
    const { link } = await start()
    expect(await reach(stage, link, [...PUBLIC, tcp('public.test', PORT), tcp(WORLD.public6, PORT)])).toEqual([
      ...OPEN,
      ...OPEN,
      'closed',
    ])
  })

  it('comes back when what carries it is killed, with the same rules', async () => {
    const { id, link } = await start()
    const [helper = 0] = await childrenOf(await keeperPid(id))
    expect(await readFile(`/proc/${helper}/comm`, 'utf8')).toBe('slirp4netns\n')
    process.kill(helper, 'SIGKILL')
    await eventually(link, OPEN)
    expect(await childrenOf(await keeperPid(id))).not.toContain(helper)
    expect(await reach(stage, link, [tcp(WORLD.lan4, PORT), tcp(WORLD.host4, PORT)])).toEqual(['closed', 'closed'])
  })

  it('is closed for good when its keeper is killed', async () => {
    const { id, link } = await start()
    const keeper = await keeperPid(id)
    const [helper = 0] = await childrenOf(keeper)
    process.kill(keeper, 'SIGKILL')
    await eventually(link, ['closed'])
    await expect.poll(() => readFile(`/proc/${helper}/comm`, 'utf8').catch(() => 'gone')).toBe('gone')
    expect((await stage.run(link, ['echo', 'alive'])).stdout).toBe('alive\n')
  })

  it('outlives daemon and launcher', async () => {
    const { id, link } = await start()
    await reach(stage, link, PUBLIC)
    await rig.killLauncher()
    expect(await reach(stage, link, PUBLIC)).toEqual(OPEN)
    await stage.restart()
    const found = await Array.fromAsync(stage.driver.recover())
    const [machine] = found.flatMap((each) => (each.kind === 'running' ? [each.machine] : []))
    if (machine === undefined) throw new Error('the machine is not there')
    expect(await reach(stage, await stage.link(machine), PUBLIC)).toEqual(OPEN)
    await stage.driver.destroy(id)
    expect(await rig.leftovers()).toEqual([])
    // The next launcher would stand outside of the world.
    await rig.parts.launcher.stopLauncher()
    await world.startLauncher(rig.parts.guestProgram, join(rig.folder, 'l'), rig.parts.installation)
    await stage.restart()
  })

  it('ends with the machine', async () => {
    const { id } = await start()
    const keeper = await keeperPid(id)
    await rig.killGuest(id)
    await expect.poll(() => readFile(`/proc/${keeper}/comm`, 'utf8').catch(() => 'gone')).toBe('gone')
    await expect.poll(() => rig.parts.launcher.get(`network-${id}`)).toBe(undefined)
  })

  it('is swept when there is no machine for it', async () => {
    const { id } = await start()
    const keeper = await keeperPid(id)
    // As after a kill between the two.
    await rig.parts.launcher.destroy(`bwrap-${id}`)
    await stage.restart()
    await Array.fromAsync(stage.driver.recover())
    expect(await readFile(`/proc/${keeper}/comm`, 'utf8').catch(() => 'gone')).toBe('gone')
  })

  it('leaves nothing of a create that is cancelled anywhere', async () => {
    for (let ms = 0; ms < 30; ms += 2) {
      const id = newMachineId(systemRandom)
      const created = stage.driver
        .create(
          id,
          { from: { kind: 'host' }, limits: {}, network: INTERNET, hostname: 'x' },
          { signal: AbortSignal.timeout(ms), progress: () => undefined },
        )
        .then(
          () => 'created',
          () => 'cancelled',
        )
      if ((await created) === 'created') await stage.driver.destroy(id)
      expect(await rig.leftovers()).toEqual([])
    }
  })

  it.each([
    ['nft', { nft: '/nowhere/nft' }, 'nftables is not installed'],
    ['slirp4netns', { slirp4netns: '/nowhere/slirp4netns' }, 'slirp4netns is not installed'],
    ['rules', { nft: '/bin/false' }, 'load the rules'],
    ['a connection', { slirp4netns: '/bin/false' }, 'connect the namespace'],
  ])('is refused without %s, with the reason and a fix, and nothing is left', async (_, tools, reason) => {
    const driver = createBubblewrapDriver({ ...rig.parts, network: { tools } })
    const fingerprint = await driver.fingerprint(AbortSignal.timeout(20_000))
    if (!fingerprint.proven) throw new Error(fingerprint.reason)
    expect(fingerprint.details['network']).toContain(reason)
    const spec = { from: { kind: 'host' }, limits: {}, network: INTERNET, hostname: 'x' } as const
    const [problem] = driver.validate(spec)
    expect(problem?.field).toBe('network')
    expect(problem?.message).toContain(reason)
    expect(problem?.fix.length).toBeGreaterThan(10)
    const context = { signal: AbortSignal.timeout(20_000), progress: () => undefined }
    expect(await codeOf(driver.create(newMachineId(systemRandom), spec, context))).toBe('network-unavailable')
    expect(await rig.leftovers()).toEqual([])
    await driver.close()
  })
})
