import { describe, expect, it } from 'vitest'
import { silentLog, type Fingerprint, type Isolation, type Problem } from '@cove/domain'
import { ManualClock } from '@cove/domain/manual-clock'
import { chooseDriver, type DriverWish } from '../src/choose-driver.ts'
import { DriverProofs } from '../src/driver-proofs.ts'
import { Fuse } from './support/fuse.ts'
import { Host, quiet } from './support/harness.ts'
import { TestDriver } from './support/test-driver.ts'

const proven: Fingerprint = { proven: true, native: true, details: {}, enforces: [] }
const emulated: Fingerprint = { proven: true, native: false, details: {}, enforces: [] }
const missing: Fingerprint = { proven: false, reason: 'not installed', fix: 'Install it.' }

function driver(name: string, isolation: Isolation, verdict: Fingerprint, problems: readonly Problem[] = []) {
  const fake = new TestDriver(new Host().world, new Fuse(), { name, isolation })
  fake.verdict = verdict
  fake.problems = problems
  return fake
}

const spec = { from: { kind: 'host' }, limits: {}, network: { kind: 'none' }, hostname: 'x' } as const

async function choice(drivers: readonly TestDriver[], wish: Omit<DriverWish, 'spec'> = {}, defaultDriver?: string) {
  const stop = new AbortController()
  const options = { drivers, clock: new ManualClock(), log: silentLog, signal: stop.signal, defaultDriver }
  const proofs = new DriverProofs(options)
  const fresh = proofs.keepFresh()
  try {
    return (await chooseDriver(drivers, proofs, { ...wish, spec })).name
  } finally {
    stop.abort()
    await fresh
  }
}

describe('the choice of a driver', () => {
  const native = driver('native', 'process', proven)
  const bubblewrap = driver('bubblewrap', 'namespace', proven)
  const docker = driver('docker', 'container', proven)
  const slowVm = driver('qemu', 'microvm', emulated)
  const noVm = driver('firecracker', 'microvm', missing)

  it('takes the strongest that is proven at native speed', async () => {
    expect(await choice([native, bubblewrap, slowVm, noVm])).toBe('bubblewrap')
    expect(await choice([native, bubblewrap, docker, slowVm])).toBe('docker')
    expect(await choice([native])).toBe('native')
  })

  it('keeps the given order among equals', async () => {
    expect(await choice([driver('b', 'container', proven), driver('a', 'container', proven)])).toBe('b')
  })

  it('takes the default where it is strong enough, else something stronger', async () => {
    const all = [native, bubblewrap, docker, slowVm]
    expect(await choice(all, {}, 'bubblewrap')).toBe('bubblewrap')
    expect(await choice(all, { isolation: 'process' }, 'bubblewrap')).toBe('bubblewrap')
    expect(await choice(all, { isolation: 'container' }, 'bubblewrap')).toBe('docker')
    expect(await choice(all, {}, 'qemu')).toBe('qemu')
  })

  it('emulates only for a minimum that nothing else reaches', async () => {
    expect(await choice([bubblewrap, slowVm], { isolation: 'microvm' })).toBe('qemu')
    expect(await choice([bubblewrap, slowVm], { isolation: 'namespace' })).toBe('bubblewrap')
    await expect(choice([slowVm])).rejects.toMatchObject({
      code: 'isolation-unavailable',
      message: expect.stringContaining('software emulation'),
    })
  })

  it('takes a named driver or says why not', async () => {
    expect(await choice([bubblewrap, docker], { driver: 'bubblewrap' })).toBe('bubblewrap')
    expect(await choice([slowVm], { driver: 'qemu' })).toBe('qemu')
    await expect(choice([bubblewrap], { driver: 'native' })).rejects.toMatchObject({
      code: 'isolation-unavailable',
      context: { asked: 'native', tried: 'there is no such driver, only bubblewrap' },
    })
    await expect(choice([bubblewrap], { driver: 'bubblewrap', isolation: 'vm' })).rejects.toMatchObject({
      code: 'isolation-unavailable',
      context: { tried: 'bubblewrap: its isolation is only namespace' },
    })
  })

  it('says everything that was tried, and the first fix', async () => {
    await expect(choice([bubblewrap, noVm], { isolation: 'microvm' })).rejects.toMatchObject({
      code: 'isolation-unavailable',
      fix: 'Install it.',
      context: {
        asked: 'microvm',
        tried: 'bubblewrap: its isolation is only namespace; firecracker: not installed',
      },
    })
    await expect(choice([])).rejects.toMatchObject({ code: 'isolation-unavailable' })
  })

  it('passes over a driver that cannot honour the request, and tells its problem when none can', async () => {
    const problem = { field: 'limits.memoryBytes', message: 'cannot enforce memory', fix: 'Leave it out.' }
    const limited = driver('docker', 'container', proven, [problem])
    expect(await choice([bubblewrap, limited])).toBe('bubblewrap')
    await expect(choice([limited], {})).rejects.toMatchObject({
      code: 'limit-not-enforceable',
      fix: 'Leave it out.',
      context: { driver: 'docker', field: 'limits.memoryBytes' },
    })
    const closed = driver('x', 'vm', proven, [{ field: 'network', message: 'none only', fix: '' }])
    await expect(choice([closed])).rejects.toMatchObject({ code: 'network-unavailable' })
  })
})

describe('readiness', () => {
  it('waits for the default only', async () => {
    const host = new Host()
    const strong = driver('docker', 'container', proven)
    const weak = driver('bubblewrap', 'namespace', proven)
    weak.beforeFingerprint = () => new Promise(() => {})
    const { node } = await host.open(host.parts(), { drivers: [weak, strong] })
    await expect(node.ready()).resolves.toBeUndefined()
    await node.close()

    const named = await new Host().open(host.parts(), { drivers: [weak, strong], defaultDriver: 'docker' })
    await expect(named.node.ready()).resolves.toBeUndefined()
    await named.node.close()
  })

  it('does not wait for a stronger driver that only emulates', async () => {
    const host = new Host()
    const strong = driver('qemu', 'microvm', emulated)
    strong.beforeFingerprint = () => new Promise(() => {})
    const emulating = Object.assign(strong, { emulates: () => Promise.resolve(true) })
    const { node } = await host.open(host.parts(), { drivers: [emulating, driver('bubblewrap', 'namespace', proven)] })
    await expect(node.ready()).resolves.toBeUndefined()
    await node.close()
  })

  it('fails with the reasons when nothing can be the default, and heals when a tool comes', async () => {
    const host = new Host()
    const late = driver('docker', 'container', missing)
    const { node } = await host.open(host.parts(), { drivers: [late] })
    await expect(node.ready()).rejects.toMatchObject({
      code: 'isolation-unavailable',
      context: { tried: 'docker: not installed' },
    })
    await expect(node.create({ spec: host.spec(), incarnation: 1 })).rejects.toMatchObject({ fix: 'Install it.' })
    late.verdict = proven
    await host.clock.advance(60_000)
    await node.ready()
    const [report] = await node.drivers()
    expect(report).toMatchObject({ name: 'docker', isolation: 'container', fingerprint: proven, chosen: true })
    await node.close()
  })

  it('takes a proof that throws or hangs for a verdict', async () => {
    const host = new Host()
    const broken = driver('docker', 'container', proven)
    broken.beforeFingerprint = async () => {
      throw new Error('engine on fire')
    }
    const hanging = driver('containerd', 'container', proven)
    hanging.beforeFingerprint = () => new Promise(() => {})
    const { node } = await host.open(host.parts(), { drivers: [broken, hanging] })
    const reports = node.drivers()
    await host.clock.advance(60_000)
    expect((await reports).map(({ fingerprint }) => fingerprint)).toMatchObject([
      { proven: false, reason: 'engine on fire' },
      { proven: false, reason: expect.stringContaining('60000 ms') },
    ])
    await node.close()
  })

  it('proves anew when asked', async () => {
    const host = new Host()
    const fake = driver('docker', 'container', proven)
    const { node } = await host.open(host.parts(), { drivers: [fake] })
    await node.ready()
    fake.verdict = missing
    const reports = await node.diagnose(new AbortController().signal)
    expect(reports).toMatchObject([{ chosen: false, fingerprint: { proven: false } }])
    expect(fake.proofs).toBe(2)
    await quiet()
    await node.close()
  })

  it('proves a driver once for all who ask at the same time, although one of them goes away', async () => {
    const host = new Host()
    const fake = driver('docker', 'container', proven)
    const { node } = await host.open(host.parts(), { drivers: [fake] })
    await node.ready()
    const going = new AbortController()
    const left = node.diagnose(going.signal)
    const others = Array.from({ length: 5 }, () => node.diagnose(new AbortController().signal))
    going.abort()
    await expect(left).rejects.toMatchObject({ code: 'cancelled' })
    for (const reports of await Promise.all(others)) expect(reports).toMatchObject([{ fingerprint: { proven: true } }])
    expect(fake.proofs).toBe(2)
    await quiet()
    await node.close()
  })

  it('refuses a default that it does not have', async () => {
    await expect(new Host().open(undefined, { defaultDriver: 'moon' })).rejects.toMatchObject({
      code: 'config-invalid',
    })
  })
})
