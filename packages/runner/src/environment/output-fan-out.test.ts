import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Line } from './line.ts'
import { OutputFanOut } from './output-fan-out.ts'

const text = (lines: readonly Line[]): string[] => lines.map((line) => `${line.stream} ${line.text}`)

test('every sink gets every line, one at a time, also when it waits', async () => {
  const fanOut = new OutputFanOut()
  const quick: Line[] = []
  const slow: Line[] = []
  let inside = 0
  fanOut.addSink((line) => void quick.push(line))
  fanOut.addSink(async (line) => {
    inside += 1
    expect(inside).toBe(1)
    await setImmediate()
    slow.push(line)
    inside -= 1
  })
  const waits = [
    fanOut.write('stdout', Buffer.from('a\nb\nc')),
    fanOut.write('stderr', Buffer.from('x\n')),
    fanOut.end('stdout'),
    fanOut.end('stderr'),
  ]
  for (const wait of waits) await wait
  expect(text(slow)).toEqual(['stdout a', 'stdout b', 'stderr x', 'stdout c'])
  expect(slow).toEqual(quick)
})

test('a sink that fails is not called again, and the others are', async () => {
  const fanOut = new OutputFanOut()
  const calls = { throws: 0, rejects: 0, good: 0 }
  fanOut.addSink(() => {
    calls.throws += 1
    throw new Error('no')
  })
  fanOut.addSink(async () => {
    calls.rejects += 1
    await setImmediate()
    throw new Error('no')
  })
  fanOut.addSink(() => {
    calls.good += 1
  })
  await fanOut.write('stdout', Buffer.from('1\n2\n3\n'))
  await fanOut.end('stdout')
  expect(calls).toEqual({ throws: 1, rejects: 1, good: 3 })
})

test('a reader that does not read makes the stream wait, until it reads or leaves', async () => {
  const fanOut = new OutputFanOut()
  const reader = fanOut.lines()
  const other = fanOut.lines()
  const chunk = Buffer.from(`${'x'.repeat(1023)}\n`.repeat(256))
  let held: Promise<void> | undefined
  let written = 0
  while (held === undefined) {
    held = fanOut.write('stdout', chunk)
    written += 256
  }
  expect(written).toBe(1024)
  let drained = false
  const waiting = (async () => {
    await held
    drained = true
  })()
  await other.return?.()
  await setImmediate()
  expect(drained).toBe(false)
  for (let count = 0; count < 600; count += 1) await reader.next()
  await waiting
  fanOut.close()
  let rest = 0
  for await (const line of reader) rest += line.text.length === 1023 ? 1 : 0
  expect(rest).toBe(1024 - 600)
  expect(await fanOut.lines().next()).toEqual({ done: true, value: undefined })
})

test('lines are those from the call on, and end with the output', async () => {
  const fanOut = new OutputFanOut()
  void fanOut.write('stdout', Buffer.from('before\nhalf '))
  const lines = fanOut.lines()
  const all = (async () => {
    const found: Line[] = []
    for await (const line of lines) found.push(line)
    return found
  })()
  void fanOut.write('stdout', Buffer.from('and half\nlast'))
  await fanOut.end('stdout')
  fanOut.close()
  expect(text(await all)).toEqual(['stdout half and half', 'stdout last'])
})
