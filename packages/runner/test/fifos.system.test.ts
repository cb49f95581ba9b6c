import { constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { openBench } from './support/bench.ts'

const read = (path: string) =>
  new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false })
const write = (path: string) =>
  new Socket({ fd: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK), readable: false, writable: true })

test('a process with FIFOs sees no end when whoever speaks with it goes, and hears the next one', async () => {
  await using bench = await openBench()
  const folder = join(bench.folder, 'm')
  const [stdin, stdout] = [join(folder, 'in'), join(folder, 'out')]
  const script = 'while read line; do echo "heard $line"; echo "log $line" >&2; done; echo over'
  const process = await bench.start('echo', script, {
    folders: [{ path: folder, mode: 0o700 }],
    stdio: { fifos: { stdin, stdout } },
    removeOnDestroy: [folder],
  })
  for (const word of ['first', 'second']) {
    const [input, output] = [write(stdin), read(stdout)]
    input.write(`${word}\n`)
    const [said] = (await once(output, 'data')) as [Buffer]
    expect(said.toString()).toBe(`heard ${word}\n`)
    input.destroy()
    output.destroy()
    await once(output, 'close')
  }
  expect(process.exit).toBeUndefined()
  expect(Buffer.from(await process.output('stderr')).toString()).toBe('log first\nlog second\n')
  await expect(process.openPipes()).rejects.toMatchObject({ code: 'wrong-state' })
  await bench.launcher.destroy('echo')
  expect(() => openSync(stdout, constants.O_RDONLY)).toThrow('ENOENT')
})

test('FIFOs that cannot be made fail the start, and nothing is left', async () => {
  await using bench = await openBench()
  const path = join(bench.folder, 'nowhere/in')
  const started = bench.start('none', 'true', { stdio: { fifos: { stdin: path, stdout: path } } })
  await expect(started).rejects.toMatchObject({ code: expect.stringMatching(/file-not-found|driver-failed/) })
  expect(await bench.launcher.list()).toEqual([])
})
