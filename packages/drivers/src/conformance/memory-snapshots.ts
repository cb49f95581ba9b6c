import { isPausable, savesMemory, type Machine, type ProcessId, type SnapshotId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import type { GuestLink } from '@cove/guest-link'
import { describe, expect, it, type TestContext } from 'vitest'
import { codeOf, type Stage } from './stage.ts'

const COUNTER = 'counter' as ProcessId

/** A machine saved whole goes on from there, as often as it is asked for. */
export function memorySnapshotsChapter(stage: Stage): void {
  const needsIt = (context: TestContext) => {
    if (stage.rig.traits.savesMemory !== true) context.skip('this driver saves no memory')
  }
  const save = async (machine: Machine, signal = AbortSignal.timeout(30_000)): Promise<SnapshotId> => {
    if (!savesMemory(machine)) throw new Error('the machine cannot be saved')
    const id = stage.newSnapshot()
    const { bytes } = await machine.snapshotMemory(id, { signal, progress: () => undefined })
    expect(bytes).toBeGreaterThan(100_000)
    return id
  }
  const goOn = async (source: Machine, id: SnapshotId, disk?: ReturnType<Stage['newDisk']>) => {
    const from = { kind: 'snapshot', id, root: stage.rig.from ?? { kind: 'host' } } as const
    const machine = await stage.create({ from, ...(disk === undefined ? {} : { disk }) })
    stage.shareToken(source.id, machine.id)
    return { machine, link: await stage.link(machine) }
  }

  describe('memory snapshots', () => {
    it('go on where the machine was, each by itself, and the machine goes on too', async (context) => {
      needsIt(context)
      const source = await stage.create()
      const link = await stage.link(source)
      await startCounter(link)
      expect(await count(link)).toBe('1')
      await stage.shell(link, 'echo before > ~/note; echo memory > /tmp/note; rm -rf /var/tmp; mkdir /var/tmp', 'root')
      const id = await save(source)
      expect(await count(link)).toBe('2')
      expect(await stage.snapshots.listSnapshots()).toEqual([id])

      const [one, two] = [await goOn(source, id), await goOn(source, id)]
      expect(await count(one.link)).toBe('2')
      expect(await count(one.link)).toBe('3')
      expect(await count(two.link)).toBe('2')
      expect(await count(link)).toBe('3')
      await stage.shell(one.link, 'echo one > ~/note', 'root')
      await stage.shell(link, 'echo source > ~/note', 'root')
      const note = async (some: GuestLink) => (await stage.shell(some, 'cat ~/note /tmp/note', 'root')).stdout
      expect([await note(link), await note(one.link), await note(two.link)]).toEqual([
        'source\nmemory\n',
        'one\nmemory\n',
        'before\nmemory\n',
      ])
    })

    it('become machines of their own: another name, another token', async (context) => {
      needsIt(context)
      const source = await stage.create({ hostname: 'source' })
      await stage.link(source)
      const id = await save(source)
      const { machine, link } = await goOn(source, id)
      const token = systemRandom.bytes(32)
      const entropy = systemRandom.bytes(32)
      await link.configure({ hostname: 'fork', env: { WHO: 'fork' }, user: 'root', entropy, clock: Date.now(), token })
      expect((await stage.shell(link, 'hostname; cat /etc/hostname; echo $WHO; id -u')).stdout).toBe(
        'fork\nfork\nfork\n0\n',
      )
      expect((await stage.shell(link, 'date +%s')).stdout.trim()).toMatch(/^\d+$/)
      await link.close()
      stage.setToken(machine.id, token)
      expect((await stage.shell(await stage.link(machine), 'hostname')).stdout).toBe('fork\n')
      expect((await stage.shell(await stage.link(source), 'hostname; cat /etc/hostname')).stdout).toBe(
        'source\nsource\n',
      )
    })

    it('outlive daemon and machine, and are adopted with what was made of them', async (context) => {
      needsIt(context)
      const source = await stage.create()
      const link = await stage.link(source)
      await startCounter(link)
      const id = await save(source)
      const first = await goOn(source, id)
      expect(await count(first.link)).toBe('1')
      await stage.driver.destroy(source.id)
      await stage.restart()
      expect(await stage.snapshots.listSnapshots()).toEqual([id])
      const found = await Array.fromAsync(stage.driver.recover())
      expect(found).toEqual([{ kind: 'running', machine: expect.objectContaining({ id: first.machine.id }) }])
      const [adopted] = found
      if (adopted?.kind !== 'running') throw new Error('not running')
      expect(await count(await stage.link(adopted.machine))).toBe('2')
      const second = await goOn(source, id)
      expect(await count(second.link)).toBe('1')
    })

    it('can be removed while a machine of theirs runs, which goes on', async (context) => {
      needsIt(context)
      const source = await stage.create()
      await stage.shell(await stage.link(source), 'echo kept > ~/note', 'root')
      const id = await save(source)
      const { machine, link } = await goOn(source, id)
      await stage.snapshots.removeSnapshot(id)
      await stage.snapshots.removeSnapshot(id)
      expect(await stage.snapshots.listSnapshots()).toEqual([])
      expect((await stage.shell(link, 'cat ~/note', 'root')).stdout).toBe('kept\n')
      expect(await codeOf(goOn(source, id))).toBe('snapshot-not-found')
      await stage.driver.destroy(machine.id)
    })

    it('are taken of a machine that stands still, which stays so', async (context) => {
      needsIt(context)
      if (!stage.rig.traits.pausable) context.skip('this driver cannot pause')
      const source = await stage.create()
      if (!isPausable(source)) throw new Error('the machine is not pausable')
      await startCounter(await stage.link(source))
      await source.pause()
      const id = await save(source)
      expect(await count((await goOn(source, id)).link)).toBe('1')
      await source.resume()
      expect(await count(await stage.link(source))).toBe('1')
    })

    it('leave nothing when they are given up, and the machine goes on', async (context) => {
      needsIt(context)
      const source = await stage.create()
      const link = await stage.link(source)
      await startCounter(link)
      for (const delay of [0, 20, 60]) {
        const giveUp = new AbortController()
        const timer = setTimeout(() => giveUp.abort(), delay)
        expect(['cancelled', 'no error']).toContain(await codeOf(save(source, giveUp.signal)))
        clearTimeout(timer)
        for (const id of await stage.snapshots.listSnapshots()) await stage.snapshots.removeSnapshot(id)
        expect(Number(await count(link))).toBeGreaterThan(0)
      }
      const id = await save(source)
      expect(await codeOf(save(await stage.create()))).toBe('no error')
      expect(Number(await count((await goOn(source, id)).link))).toBe(4)
    })

    it('are taken of what was made of one, with all that it has', async (context) => {
      needsIt(context)
      const source = await stage.create()
      const link = await stage.link(source)
      await startCounter(link)
      await stage.shell(link, 'mkdir ~/kept; echo one > ~/kept/one; echo two > ~/two; echo three > ~/three', 'root')
      const first = await goOn(source, await save(source), stage.newDisk())
      await stage.shell(first.link, 'rm ~/two; echo more >> ~/three; echo four > ~/kept/four', 'root')
      expect(await count(first.link)).toBe('1')
      const id = await save(first.machine)
      await stage.driver.destroy(first.machine.id)
      const disk = stage.newDisk()
      const second = await goOn(source, id, disk)
      expect(await count(second.link)).toBe('2')
      const all = 'cd ~; ls -A two 2>/dev/null; cat kept/one kept/four three'
      expect((await stage.shell(second.link, all, 'root')).stdout).toBe('one\nfour\nthree\nmore\n')
      await stage.driver.destroy(second.machine.id)
      // A disk knows by itself what it lies on, also when that was to be removed.
      for (const kept of await stage.snapshots.listSnapshots()) await stage.snapshots.removeSnapshot(kept)
      await stage.restart()
      const third = await stage.link(await stage.create({ disk }))
      expect((await stage.shell(third, all, 'root')).stdout).toBe('one\nfour\nthree\nmore\n')
    })

    it('start anew on a disk that went on without them', async (context) => {
      needsIt(context)
      const source = await stage.create()
      const link = await stage.link(source)
      await startCounter(link)
      await stage.shell(link, 'echo saved > ~/note', 'root')
      const id = await save(source)
      const disk = stage.newDisk()
      const first = await goOn(source, id, disk)
      await stage.shell(first.link, 'echo later >> ~/note', 'root')
      await stage.driver.destroy(first.machine.id)
      const from = { kind: 'snapshot', id, root: stage.rig.from ?? { kind: 'host' } } as const
      const second = await stage.link(await stage.create({ from, disk }))
      expect((await stage.shell(second, 'cat ~/note', 'root')).stdout).toBe('saved\nlater\n')
      expect((await second.processes()).map((process) => process.id)).not.toContain(COUNTER)
    })
  })
}

/** A process that remembers: each line makes it count one further. */
async function startCounter(link: GuestLink): Promise<void> {
  const script = 'n=0; while read line; do n=$((n+1)); echo $n; done'
  await link.start({ id: COUNTER, argv: ['/bin/sh', '-c', script], env: {}, stdin: true })
}

async function count(link: GuestLink): Promise<string> {
  const { events } = await link.attach(COUNTER, 'now')
  const [said] = await Promise.all([firstOutput(events), link.writeStdin(COUNTER, oneLine(), { close: false })])
  return said.trim()
}

async function firstOutput(events: Awaited<ReturnType<GuestLink['attach']>>['events']): Promise<string> {
  for await (const event of events) if (event.type === 'output') return Buffer.from(event.data).toString()
  return 'ended'
}

async function* oneLine(): AsyncIterable<Uint8Array> {
  yield await Promise.resolve(Buffer.from('\n'))
}
