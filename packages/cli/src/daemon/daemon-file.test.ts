import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bootId, processStartTime, readLivingDaemon, removeDaemonRecord, writeDaemonRecord } from './daemon-file.ts'

const own = () => ({
  url: 'http://127.0.0.1:1',
  pid: process.pid,
  startTime: processStartTime(process.pid) ?? 0,
  bootId: bootId(),
  version: '0.1.0',
})

describe('the record of a running daemon', () => {
  let folder: string
  let file: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-record-'))
    file = join(folder, 'daemon.json')
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('is believed while that very process lives', async () => {
    await writeDaemonRecord(file, own())
    expect(await readLivingDaemon(file)).toEqual(own())
  })

  it.each([
    ['another process has its pid now', { startTime: 1 }],
    ['the machine has been restarted', { bootId: 'another' }],
    ['the process is gone', { pid: 2 ** 22 - 1 }],
  ])('is not believed when %s', async (_, change) => {
    await writeDaemonRecord(file, { ...own(), ...change })
    expect(await readLivingDaemon(file)).toBeUndefined()
  })

  it('is no obstacle when it is missing or broken', async () => {
    expect(await readLivingDaemon(file)).toBeUndefined()
    writeFileSync(file, '{"url":')
    expect(await readLivingDaemon(file)).toBeUndefined()
  })

  it('is removed by its own daemon only', async () => {
    await writeDaemonRecord(file, own())
    await removeDaemonRecord(file, process.pid + 1)
    expect(await readLivingDaemon(file)).toBeDefined()
    await removeDaemonRecord(file, process.pid)
    expect(await readLivingDaemon(file)).toBeUndefined()
  })
})
