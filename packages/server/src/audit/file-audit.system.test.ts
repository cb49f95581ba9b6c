import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  statSync,
  statfsSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLog, type Log } from '@cove/domain'
import { ManualClock } from '../../test/support/manual-clock.ts'
import type { AuditEntry } from './audit.ts'
import type { AuditQuery, AuditRecord } from './audit-trail.ts'
import { FileAudit, type FileAuditOptions } from './file-audit.ts'
import { MemoryAudit } from './memory-audit.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cove-test-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const clock = new ManualClock()
const openAudit = (options: Partial<FileAuditOptions> = {}): FileAudit =>
  new FileAudit({ directory: join(directory, 'audit'), clock, log: silentLog, ...options })

const entry = (n: number, more: Partial<AuditEntry> = {}): AuditEntry => ({
  at: 1_700_000_000_000 + n,
  project: 'default',
  key: 'k',
  role: 'admin',
  action: 'SandboxService/CreateSandbox',
  target: `t${n}`,
  details: {},
  from: '127.0.0.1',
  outcome: 'ok',
  requestId: `r${n}`,
  ...more,
})

const ALL: AuditQuery = { failed: false, size: 1_000 }

async function readAll(audit: Pick<FileAudit, 'list'>, query: AuditQuery = ALL): Promise<AuditRecord[]> {
  const records: AuditRecord[] = []
  let token: string | undefined
  do {
    const page = await audit.list({ ...query, ...(token === undefined ? {} : { token }) })
    records.push(...page.records)
    token = page.next
  } while (token !== undefined)
  return records
}

const targets = (records: readonly AuditRecord[]): string[] => records.map(({ target }) => target)

describe('what was done', () => {
  test('is told newest first, page by page, while more is done', async () => {
    using audit = openAudit({ segmentBytes: 1_000 })
    for (let n = 0; n < 30; n++) audit.record(entry(n))
    const first = await audit.list({ failed: false, size: 7 })
    expect(targets(first.records)).toEqual(['t29', 't28', 't27', 't26', 't25', 't24', 't23'])
    audit.record(entry(30))
    const rest = await readAll(
      { list: (query) => audit.list({ token: first.next ?? '', ...query }) },
      {
        failed: false,
        size: 7,
      },
    )
    expect(targets(rest)).toEqual(Array.from({ length: 23 }, (_, n) => `t${22 - n}`))
    const ids = (await readAll(audit)).map(({ id }) => id)
    expect(new Set(ids).size).toBe(31)
  })

  test.each([
    ['the file', () => openAudit({ segmentBytes: 700 })],
    ['the memory', () => new MemoryAudit()],
  ])('can be asked for in every way of %s', async (_name, open) => {
    const audit = open()
    audit.record(entry(0, { project: 'a', outcome: 'permission-denied' }))
    audit.record(entry(1, { project: 'a', key: 'other' }))
    audit.record(entry(2, { project: 'b', action: 'files/put', details: { path: '/x' } }))
    audit.record(entry(3, { project: 'b' }))
    const ask = async (query: Partial<AuditQuery>) => targets(await readAll(audit, { ...ALL, ...query }))
    expect(await ask({})).toEqual(['t3', 't2', 't1', 't0'])
    expect(await ask({ size: 1 })).toEqual(['t3', 't2', 't1', 't0'])
    expect(await ask({ project: 'a' })).toEqual(['t1', 't0'])
    expect(await ask({ key: 'other' })).toEqual(['t1'])
    expect(await ask({ action: 'SandboxService/' })).toEqual(['t3', 't1', 't0'])
    expect(await ask({ target: 't2' })).toEqual(['t2'])
    expect(await ask({ since: 1_700_000_000_001, until: 1_700_000_000_003 })).toEqual(['t2', 't1'])
    expect(await ask({ failed: true })).toEqual(['t0'])
    await expect(audit.list({ ...ALL, token: 'no token!' })).rejects.toMatchObject({ code: 'invalid-argument' })
  })

  test('is looked through in bounded pieces', async () => {
    using audit = openAudit({ pageBytes: 1_000 })
    for (let n = 0; n < 100; n++) audit.record(entry(n))
    const page = await audit.list({ ...ALL, target: 't0' })
    expect(page.records).toEqual([])
    expect(page.next).toBeDefined()
    expect(targets(await readAll(audit, { ...ALL, target: 't0' }))).toEqual(['t0'])
  })
})

describe('the files', () => {
  test('are private, bounded, and go with the oldest first', async () => {
    using audit = openAudit({ segmentBytes: 1_000, segments: 3 })
    for (let n = 0; n < 100; n++) audit.record(entry(n))
    const folder = join(directory, 'audit')
    const names = readdirSync(folder)
    expect(names).toHaveLength(3)
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    for (const name of names) {
      const { mode, size } = statSync(join(folder, name))
      expect(mode & 0o777).toBe(0o600)
      expect(size).toBeLessThanOrEqual(1_000)
    }
    const kept = targets(await readAll(audit))
    expect(kept[0]).toBe('t99')
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, n) => `t${99 - n}`))
  })

  test('are written on after a restart; a torn line costs itself only', async () => {
    const file = join(directory, 'audit', 'audit-0000000001.jsonl')
    openAudit()[Symbol.dispose]()
    {
      using audit = openAudit()
      audit.record(entry(0))
      audit.record(entry(1))
    }
    truncateSync(file, statSync(file).size - 20)
    {
      using audit = openAudit()
      audit.record(entry(2))
      expect(targets(await readAll(audit))).toEqual(['t2', 't0'])
    }
    appendFileSync(file, '{"not":"an entry"}\nnonsense\n\n')
    using audit = openAudit()
    audit.record(entry(3))
    expect(targets(await readAll(audit))).toEqual(['t3', 't2', 't0'])
  })

  test('keep what was recorded before a kill -9', async () => {
    const code = `
      import { FileAudit } from ${JSON.stringify(join(import.meta.dirname, 'file-audit.ts'))}
      import { silentLog } from '@cove/domain'
      import { systemClock } from '@cove/domain/system'
      const audit = new FileAudit({ directory: ${JSON.stringify(join(directory, 'audit'))}, clock: systemClock, log: silentLog })
      for (let n = 0; ; n++) {
        audit.record({ ...${JSON.stringify(entry(0))}, target: 't' + n })
        if (n % 100 === 0) await new Promise((done) => process.stdout.write(n + '\\n', done))
      }`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', code], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      if (said.length > 200) child.kill('SIGKILL')
    })
    await once(child, 'close')
    const acknowledged = Number(said.trim().split('\n').at(-1))
    expect(acknowledged).toBeGreaterThan(100)
    using audit = openAudit()
    const kept = new Set(targets(await readAll(audit)))
    expect(Array.from({ length: acknowledged + 1 }, (_, n) => `t${n}`).filter((target) => !kept.has(target))).toEqual(
      [],
    )
  })
})

test('a disk that takes nothing is said once, calls go on, and the gap is written down', async () => {
  const warnings: string[] = []
  const log: Log = { ...silentLog, warn: (message) => void warnings.push(message) }
  // What stands where the next file should be cannot be opened for writing.
  using audit = openAudit({ log, segmentBytes: 500 })
  audit.record(entry(0))
  const next = join(directory, 'audit', 'audit-0000000002.jsonl')
  mkdirSync(next)
  for (let n = 1; n < 6; n++) audit.record(entry(n, { details: { path: 'x'.repeat(400) } }))
  expect([audit.lost, warnings.length]).toEqual([5, 1])
  rmdirSync(next)
  audit.record(entry(6))
  const records = await readAll(audit)
  expect(records.map(({ action, target }) => target || action)).toEqual(['t6', 'audit/gap', 't0'])
  expect(records[1]?.details).toMatchObject({ lost: '5' })
})

const isRoot = process.getuid?.() === 0

test.skipIf(!isRoot)('a full disk tears a line at most, and what comes later is whole again', async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'cove-test-audit', directory])
  try {
    const warnings: string[] = []
    const log: Log = { ...silentLog, warn: (message) => void warnings.push(message) }
    using audit = openAudit({ log })
    audit.record(entry(0))
    const ballast = join(directory, 'ballast')
    const { bavail, bsize } = statfsSync(directory)
    writeFileSync(ballast, new Uint8Array(bavail * bsize))
    const details = { path: 'x'.repeat(1_000) }
    for (let n = 1; n <= 10; n++) audit.record(entry(n, { details }))
    const { lost } = audit
    expect(lost).toBeGreaterThan(5)
    expect(warnings).toHaveLength(1)
    unlinkSync(ballast)
    audit.record(entry(11))
    const kept = await readAll(audit)
    expect(targets(kept).filter((target) => target !== '')).toHaveLength(12 - lost)
    expect(kept.slice(0, 2)).toMatchObject([
      { target: 't11' },
      { action: 'audit/gap', details: { lost: String(lost) } },
    ])
  } finally {
    execFileSync('umount', [directory])
  }
})

test('an entry costs little', () => {
  using audit = openAudit()
  const rounds = 5_000
  for (let n = 0; n < 500; n++) audit.record(entry(n))
  const before = process.threadCpuUsage()
  for (let n = 0; n < rounds; n++) audit.record(entry(n))
  const { user, system } = process.threadCpuUsage(before)
  expect((user + system) / rounds).toBeLessThan(50)
  expect(readFileSync(join(directory, 'audit', 'audit-0000000001.jsonl'), 'utf8').split('\n').length).toBe(5_501)
})
