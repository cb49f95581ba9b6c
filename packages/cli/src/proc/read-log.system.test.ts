import { appendFileSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ProcFolder } from './proc-folder.ts'
import { ProcLog } from './proc-log.ts'
import { readLog } from './read-log.ts'

let path: string
let folder: ProcFolder
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'cove-test-'))
  folder = new ProcFolder(path)
})
afterEach(() => rmSync(path, { recursive: true, force: true }))

const signal = new AbortController().signal
const texts = async (tail?: number): Promise<string[]> => {
  const found: string[] = []
  for await (const line of readLog(folder, { tail, signal })) found.push(line === 'gap' ? 'gap' : line.text)
  return found
}
const write = (log: ProcLog, from: number, to: number): void => {
  for (let number = from; number < to; number += 1) log.line({ stream: 'stdout', text: `${number}`, continued: false })
}

const kept = (text: string): string => `2026-01-31T12:34:56.789Z o ${text}\n`

it('reads what was written, from both files, or the end of it', async () => {
  expect(await texts()).toEqual([])
  {
    using log = new ProcLog(folder.log, 1_000_000)
    write(log, 0, 3000)
    log.note('done')
  }
  const all = await texts()
  expect(all).toHaveLength(3001)
  expect(all.slice(-2)).toEqual(['2999', 'done'])
  expect(await texts(2)).toEqual(['2999', 'done'])
  expect(await texts(0)).toEqual([])
})

it('cuts long lines and says so', async () => {
  {
    using log = new ProcLog(folder.log, 1_000_000)
    log.line({ stream: 'stderr', text: 'x'.repeat(40_000), continued: false })
    log.line({ stream: 'stderr', text: '', continued: false })
  }
  const found = []
  for await (const line of readLog(folder, { tail: undefined, signal })) if (line !== 'gap') found.push(line)
  expect(found.map(({ text, continued }) => [text.length, continued])).toEqual([
    [16_384, true],
    [16_384, true],
    [7232, false],
    [0, false],
  ])
})

it('cuts no character in two', async () => {
  const text = `x${'🙂'.repeat(20_000)}`
  {
    using log = new ProcLog(folder.log, 1_000_000)
    log.line({ stream: 'stdout', text, continued: false })
  }
  expect((await texts()).join('') === text).toBe(true)
})

it('keeps no more than was asked for, however little that is', async () => {
  {
    using log = new ProcLog(folder.log, 8192)
    write(log, 0, 5000)
    log.line({ stream: 'stdout', text: '€'.repeat(20_000), continued: false })
    write(log, 5000, 5010)
  }
  const sizes = [folder.log, `${folder.log}.1`].map((file) => statSync(file).size)
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(8192)
  expect((await texts(2)).at(-1)).toBe('5009')
})

it('follows over turns of the files without losing or repeating a line', async () => {
  const log = new ProcLog(folder.log, 200_000)
  let over = false
  const seen: number[] = []
  const reading = (async () => {
    for await (const line of readLog(folder, { tail: undefined, over: () => Promise.resolve(over), signal })) {
      if (line === 'gap') throw new Error('a gap')
      seen.push(Number(line.text))
    }
  })()
  for (let round = 0; round < 20; round += 1) {
    write(log, round * 1000, (round + 1) * 1000)
    while (seen.length < (round + 1) * 1000 - 500) await new Promise((resolve) => setImmediate(resolve))
  }
  log[Symbol.dispose]()
  over = true
  await reading
  expect(seen).toEqual(Array.from({ length: 20_000 }, (_, number) => number))
})

it('says where lines were thrown away before they could be read', async () => {
  appendFileSync(folder.log, kept('a'))
  const lines = readLog(folder, { tail: undefined, over: () => Promise.resolve(false), signal })
  expect(await lines.next()).toMatchObject({ value: { text: 'a' } })
  for (const text of ['b', 'c']) {
    renameSync(folder.log, `${folder.log}.1`)
    appendFileSync(folder.log, kept(text))
  }
  expect(await lines.next()).toMatchObject({ value: 'gap' })
  expect(await lines.next()).toMatchObject({ value: { text: 'b' } })
  expect(await lines.next()).toMatchObject({ value: { text: 'c' } })
  await lines.return(undefined)
})

it('waits for a file that is just taking the place of another', async () => {
  appendFileSync(folder.log, kept('a'))
  const lines = readLog(folder, { tail: undefined, over: () => Promise.resolve(false), signal })
  expect(await lines.next()).toMatchObject({ value: { text: 'a' } })
  renameSync(folder.log, `${folder.log}.1`)
  const next = lines.next()
  await new Promise((resolve) => setTimeout(resolve, 50))
  appendFileSync(folder.log, kept('b'))
  expect(await next).toMatchObject({ value: { text: 'b' } })
  await lines.return(undefined)
})
