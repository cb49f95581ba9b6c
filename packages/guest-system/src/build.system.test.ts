import { spawn } from 'node:child_process'
import { existsSync, readFileSync, symlinkSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { House } from '../test/support/house.ts'
import { elfKernel } from '../test/support/images.ts'

const noHeaders = ['/usr/include/stdio.h', '/usr/include/libelf.h'].filter((path) => !existsSync(path))
if (noHeaders.length > 0) console.log(`builds of kernels are skipped: there is no ${noHeaders.join(' and no ')}`)

const { signal } = new AbortController()
let house: House
beforeEach(() => {
  house = new House()
})
afterEach(() => house[Symbol.dispose]())

/** Resolves when the process is gone; a zombie that nobody reaps here counts as gone. */
async function gone(pid: number): Promise<void> {
  const runs = () => {
    try {
      return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
    } catch {
      return false
    }
  }
  await expect.poll(runs, { timeout: 10_000, interval: 20 }).toBe(false)
}

/** The number of a child of the build, out of what the build says. */
const childIn = (line: string): number | undefined => {
  const [, pid] = /^a child of the build: (\d+)$/.exec(line) ?? []
  return pid === undefined ? undefined : Number(pid)
}

describe.skipIf(noHeaders.length > 0)('a build', () => {
  it('makes a kernel of the source and our configuration, and makes it once', async () => {
    house.distribution.publishSource('6.1.7-1', 'well')
    const lines: string[] = []
    const steps = new Set<string>()
    let most = 0
    const systems = house.open()
    const info = await systems.build({
      signal,
      log: (line) => lines.push(line),
      progress: ({ step, done = 0, total = 0 }) => {
        steps.add(step)
        most = Math.max(most, done)
        expect(done).toBeLessThanOrEqual(total)
      },
    })
    expect(info).toMatchObject({
      origin: 'built',
      version: '6.1.7-cove',
      source: 'linux-source-6.1 6.1.7-1',
      acpi: false,
      has: { ninep: true, virtiofs: true, vsock: true, smp: true },
      current: true,
    })
    expect([...steps]).toContain('compiling')
    expect(most).toBe(3)
    expect(lines).toContain('  CC      kernel/a.o')
    const system = await systems.current(signal)
    expect(readFileSync(system?.kernel ?? '').equals(elfKernel('built from 6.1.7-1'))).toBe(true)
    // A kernel with everything in it needs no modules.
    expect(readFileSync(system?.initrd ?? '', 'latin1')).not.toContain('lib/modules')
    expect(house.leftovers()).toEqual([])

    house.distribution.forgetCalls()
    expect(await house.open().build({ signal })).toEqual(info)
    expect(house.distribution.calls.filter((call) => /^(?:make|apt-get)/.test(call))).toEqual([])
  })

  it("is preferred to the distribution's kernel, also to a newer one", async () => {
    house.distribution.publishSource('6.1.7-1', 'well')
    house.distribution.publishImage('6.1.9-1')
    const systems = house.open()
    const built = await systems.build({ signal })
    const fetched = await systems.fetch({ signal })
    expect(fetched.current).toBe(false)
    expect(await systems.current(signal)).toMatchObject({ origin: 'built' })
    await systems.remove(built.id)
    expect(await systems.current(signal)).toMatchObject({ origin: 'distribution' })
  })

  it('that fails says with what, and leaves nothing', async () => {
    house.distribution.publishSource('1', 'fails')
    const systems = house.open()
    await expect(systems.build({ signal })).rejects.toMatchObject({
      code: 'kernel-build-failed',
      message: expect.stringContaining('nothing is right'),
      fix: expect.stringContaining('--verbose'),
    })
    house.distribution.publishSource('2', 'disk-full')
    await expect(systems.build({ signal })).rejects.toMatchObject({ code: 'no-space' })
    expect(house.leftovers()).toEqual([])
    expect(await systems.list()).toEqual([])
  })

  it('of a source that is another one is refused', async () => {
    house.distribution.publishImage('1')
    await expect(house.open().build({ signal })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('linux-source-6.1'),
    })
    house.distribution.publishSource('1', 'well')
    house.distribution.truncate('linux-source-6.1')
    await expect(house.open().build({ signal })).rejects.toMatchObject({ code: 'kernel-invalid' })
    expect(house.leftovers()).toEqual([])
  })

  it('names what is missing and how to install it', async () => {
    const few = join(house.root, 'few')
    mkdirSync(few)
    for (const name of ['gcc', 'ld', 'strip', 'make', 'bc']) {
      symlinkSync(join(house.root, 'distribution/programs', name), join(few, name))
    }
    for (const name of ['tar', 'xz']) symlinkSync('/bin/sh', join(few, name))
    await expect(house.open([few]).build({ signal })).rejects.toMatchObject({
      code: 'unsupported',
      message: 'a kernel cannot be built here: flex, bison are missing',
      fix: 'Install what is missing: apt-get install flex bison',
    })
  })

  it('that is cancelled ends with everything that it started', async () => {
    house.distribution.publishSource('1', 'goes-on')
    const cancel = new AbortController()
    let child = 0
    const systems = house.open()
    const build = systems.build({
      signal: cancel.signal,
      log: (line) => {
        child = childIn(line) ?? child
        if (child !== 0 && line.includes('more.o')) cancel.abort()
      },
    })
    await expect(build).rejects.toMatchObject({ code: 'cancelled' })
    await gone(child)
    expect(house.leftovers()).toEqual([])
  })

  it('waits for another one, and takes what that has made', async () => {
    house.distribution.publishSource('1', 'well')
    const waited: string[] = []
    const progress = ({ step }: { readonly step: string }) => void (step.startsWith('waiting') && waited.push(step))
    const all = await Promise.all([1, 2, 3].map(async () => await house.open().build({ signal, progress })))
    expect(new Set(all.map(({ id }) => id)).size).toBe(1)
    expect(waited.length).toBeGreaterThan(0)
    expect(house.distribution.calls.filter((call) => call.includes('vmlinux'))).toHaveLength(1)
    expect(house.leftovers()).toEqual([])
  })

  it('need not be waited for', async () => {
    house.distribution.publishSource('1', 'goes-on')
    const cancel = new AbortController()
    const started = Promise.withResolvers<void>()
    const first = house.open().build({ signal: cancel.signal, log: () => started.resolve() })
    await Promise.race([started.promise, first])
    const impatient = new AbortController()
    const second = house.open().fetch({ signal: impatient.signal, progress: () => impatient.abort() })
    await expect(second).rejects.toMatchObject({ code: 'cancelled' })
    cancel.abort()
    await expect(first).rejects.toMatchObject({ code: 'cancelled' })
    expect(house.leftovers()).toEqual([])
  })

  it('that is killed hinders nobody, and the next one tidies up', async () => {
    house.distribution.publishSource('1', 'goes-on')
    const program = fileURLToPath(new URL('../test/support/build-apart.ts', import.meta.url))
    const apart = spawn(process.execPath, [program, house.folder, ...house.distribution.programFolders], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = new Promise((resolve) => apart.on('close', resolve))
    let child: number | undefined
    let make = 0
    for await (const line of createInterface({ input: apart.stdout })) {
      child ??= childIn(line)
      if (child === undefined || !line.includes('more.o')) continue
      make = Number(readFileSync(`/proc/${child}/stat`, 'utf8').split(') ')[1]?.split(' ')[1])
      break
    }
    apart.kill('SIGKILL')
    await ended
    // What compiles notices that nobody listens any more.
    await gone(make)
    process.kill(child ?? 0, 'SIGKILL')
    expect(house.leftovers()).toEqual(['kernel'])
    house.distribution.publishSource('2', 'well')
    expect(await house.open().build({ signal })).toMatchObject({ source: 'linux-source-6.1 2' })
    expect(house.leftovers()).toEqual([])
  })
})
