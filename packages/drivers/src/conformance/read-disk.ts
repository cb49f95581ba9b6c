import { execFile } from 'node:child_process'
import { lstat, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createWriteStream } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { isPausable, readsDisk, type DiskContent, type Machine, type MachineSpec } from '@cove/domain'
import { describe, expect, it, type TestContext } from 'vitest'
import { codeOf, soon, type Stage } from './stage.ts'

const MiB = 1024 * 1024
const CONTEXT = () => ({ signal: AbortSignal.timeout(30_000), progress: () => undefined })

const readable = (machine: Machine) => {
  if (!readsDisk(machine)) throw new Error('the machine does not tell what it has written')
  return machine
}

export function readDiskChapter(stage: Stage): void {
  const supported = (context: TestContext) => {
    if (stage.rig.traits.readsDisk !== true) context.skip('this driver does not tell what was written')
  }
  const written = async (spec: Partial<MachineSpec> = {}) => {
    const machine = await stage.create(spec)
    const link = await stage.link(machine)
    const [user] = stage.rig.traits.users
    const result = await stage.shell(link, 'mkdir -p /var/tmp/made && echo text > /var/tmp/made/note && sync', user)
    expect(result.exit).toEqual({ kind: 'exited', code: 0 })
    return { machine: readable(machine), link }
  }

  describe('reading the disk', () => {
    it('tells what was written, with owners, and nothing else of the machine', async (context) => {
      supported(context)
      const { machine } = await written()
      await using content = await machine.readDisk(CONTEXT())
      const found = await filesOf(content)
      expect(found.get('/var/tmp/made/note')).toEqual({ text: 'text\n', uid: ownerOf(stage) })
      for (const path of found.keys()) expect(path).not.toMatch(/^\/(proc|sys|dev)\//)
    })

    it('tells the same of a disk of a fixed size', async (context) => {
      supported(context)
      if (!stage.rig.traits.enforces.includes('diskBytes')) context.skip('this driver has no such disk')
      const disk = stage.newDisk()
      const { machine } = await written({ disk, limits: { diskBytes: { value: 64 * MiB, required: true } } })
      await using content = await machine.readDisk(CONTEXT())
      expect((await filesOf(content)).get('/var/tmp/made/note')).toEqual({ text: 'text\n', uid: ownerOf(stage) })
    })

    it('stands still while it is read, and goes on afterwards', async (context) => {
      supported(context)
      const { machine, link } = await written()
      const [one, two] = await Promise.all([machine.readDisk(CONTEXT()), machine.readDisk(CONTEXT())])
      const answer = link.processes()
      const still = () => Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 100, 'still'))])
      expect(await still()).toBe('still')
      await one[Symbol.asyncDispose]()
      await one[Symbol.asyncDispose]()
      expect(await still()).toBe('still')
      await two[Symbol.asyncDispose]()
      expect(await soon(answer, 'the answer')).toHaveLength(1)
    })

    it('leaves a machine paused that was paused', async (context) => {
      supported(context)
      const { machine, link } = await written()
      if (!isPausable(machine)) context.skip('this driver cannot pause')
      if (!isPausable(machine)) return
      await machine.pause()
      const content = await machine.readDisk(CONTEXT())
      await content[Symbol.asyncDispose]()
      const answer = link.processes()
      expect(await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 100, 'still'))])).toBe('still')
      await machine.resume()
      expect(await soon(answer, 'the answer')).toHaveLength(1)
    })

    it('goes on after a reading that was cancelled', async (context) => {
      supported(context)
      const { machine, link } = await written()
      expect(await codeOf(machine.readDisk({ ...CONTEXT(), signal: AbortSignal.abort() }))).toBe('cancelled')
      expect(await soon(link.processes(), 'the answer')).toHaveLength(1)
    })

    it('can be stopped and destroyed while it is read', async (context) => {
      supported(context)
      const { machine } = await written()
      const content = await machine.readDisk(CONTEXT())
      await soon(stage.driver.destroy(machine.id), 'the removal')
      await content[Symbol.asyncDispose]()
      expect(await stage.rig.leftovers()).toEqual([])
    })

    it('is refused when the machine has ended', async (context) => {
      supported(context)
      const { machine } = await written()
      await machine.stop(0)
      expect(await codeOf(machine.readDisk(CONTEXT()))).toBe('wrong-state')
    })
  })
}

interface Found {
  readonly text: string
  readonly uid: number
}

const ownerOf = (stage: Stage): number => (stage.rig.traits.users[0] === 'root' ? 0 : 1000)

/** Content and owners of the files, by where they are inside. */
async function filesOf(content: DiskContent): Promise<ReadonlyMap<string, Found>> {
  const found = new Map<string, Found>()
  if (content.kind === 'upper') {
    for (const { path, at } of content.parts) await walk(path, at, content.idBase, found)
    return found
  }
  const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  try {
    const archive = join(folder, 'layer.tar')
    await pipeline(Readable.from(content.tar), createWriteStream(archive))
    const run = promisify(execFile)
    const { stdout } = await run('tar', ['--numeric-owner', '-tvf', archive])
    for (const line of stdout.split('\n')) {
      const [, owner = '', , , , name = ''] = line.split(/\s+/)
      if (!line.startsWith('-')) continue
      const { stdout: text } = await run('tar', ['-xOf', archive, name])
      found.set(`/${name.replace(/^\.?\//, '')}`, { text, uid: Number(owner.split('/')[0]) })
    }
    return found
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function walk(folder: string, at: string, idBase: number, found: Map<string, Found>): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const stats = await lstat(path)
    if (stats.isDirectory()) await walk(path, join(at, name), idBase, found)
    else if (stats.isFile()) {
      found.set(join(at, name), { text: await readFile(path, 'utf8'), uid: stats.uid - idBase })
    }
  }
}
