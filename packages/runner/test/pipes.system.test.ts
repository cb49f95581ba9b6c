import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { isAlive, openBench, shell } from './support/bench.ts'

const OUTPUT = { piped: 'output' } as const
const ALL = { piped: 'all' } as const

test('a piped process is read and fed by its caller, and its pipes leave no paths', async () => {
  await using bench = await openBench()
  const process = await bench.start('cat', 'cat; echo done >&2; exit 3', { stdio: ALL })
  const pipes = await process.openPipes()
  const files = readdirSync(join(bench.stateDir, 'records'))
  expect(files).toEqual(['cat.record'])
  const said = Promise.all([text(pipes.stdout.readable()), text(pipes.stderr.readable())])
  const large = 'a line that is not short at all\n'.repeat(100_000)
  pipes.stdin?.end(large)
  expect(await said).toEqual([large, 'done\n'])
  expect(await process.exited).toEqual({ kind: 'exited', code: 3 })
})

test('what a process said before its pipes were opened is not lost, not even when it has ended', async () => {
  await using bench = await openBench()
  const process = await bench.start('quick', 'echo early; echo oops >&2; echo > /dev/stdout; echo late', {
    stdio: OUTPUT,
  })
  expect(await process.exited).toEqual({ kind: 'exited', code: 0 })
  const pipes = await process.openPipes()
  expect(pipes.stdin).toBeUndefined()
  expect(await Promise.all([text(pipes.stdout.readable()), text(pipes.stderr.readable())])).toEqual([
    'early\n\nlate\n',
    'oops\n',
  ])
  await expect(process.openPipes()).rejects.toMatchObject({ code: 'wrong-state' })
})

test('output ends with the last process that has it, and stdin without being asked for is empty', async () => {
  await using bench = await openBench()
  const process = await bench.start('parent', 'cat; (sleep 0.2; echo child) & exit 0', { stdio: OUTPUT })
  const pipes = await process.openPipes()
  expect(await text(pipes.stdout.readable())).toBe('child\n')
  pipes.stderr.close()
})

test('pipes that are never opened go with the process', async () => {
  await using bench = await openBench()
  const process = await bench.start('alone', 'sleep 1000', { stdio: ALL })
  expect(readdirSync(join(bench.stateDir, 'records')).toSorted()).toEqual([
    'alone.pipe0',
    'alone.pipe1',
    'alone.pipe2',
    'alone.record',
  ])
  await bench.launcher.destroy('alone')
  expect(readdirSync(join(bench.stateDir, 'records'))).toEqual([])
  await expect(process.openPipes()).rejects.toMatchObject({ code: 'io-error' })
})

test('an ephemeral process ends with its owner, however that ends', async () => {
  await using bench = await openBench()
  const owner = await bench.start('owner', 'sleep 1000')
  const folder = join(bench.folder, 'made')
  const process = await bench.launcher.start({
    ...shell('owned', 'sleep 1000'),
    owner: { pid: owner.pid, startTime: owner.startTime },
    stdio: OUTPUT,
    folders: [{ path: folder, mode: 0o700 }],
    removeOnDestroy: [folder],
  })
  await owner.signal(9, 'leader')
  expect((await process.exited).kind).toMatch(/signaled|lost/)
  await expect.poll(() => bench.launcher.get('owned')).toBeUndefined()
  expect(isAlive(process.pid)).toBe(false)
  expect(existsSync(folder)).toBe(false)
})
