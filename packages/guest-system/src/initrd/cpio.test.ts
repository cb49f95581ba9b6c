import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { writeCpio, type CpioEntry } from './cpio.ts'

interface Member {
  readonly path: string
  readonly mode: number
  readonly content: Buffer
  readonly device: readonly [number, number]
}

/** Reads an archive as the kernel does. */
function readCpio(archive: Buffer): Member[] {
  const members: Member[] = []
  let at = 0
  for (;;) {
    assert.equal(at % 4, 0)
    assert.equal(archive.toString('latin1', at, at + 6), '070701')
    const field = (index: number) =>
      Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16)
    const nameBytes = field(11)
    const name = at + 110
    const path = archive.toString('utf8', name, name + nameBytes - 1)
    const start = Math.ceil((name + nameBytes) / 4) * 4
    if (path === 'TRAILER!!!') {
      assert.equal(start, archive.length)
      return members
    }
    const content = archive.subarray(start, start + field(6))
    members.push({ path, mode: field(1), content, device: [field(9), field(10)] })
    at = Math.ceil((start + field(6)) / 4) * 4
  }
}

const path = fc.stringMatching(/^[a-z0-9.äß-]{1,20}(?:\/[a-z]{1,8}){0,3}$/)
const entry: fc.Arbitrary<CpioEntry> = fc.oneof(
  fc.record({ kind: fc.constant('folder' as const), path }),
  fc.record({
    kind: fc.constant('file' as const),
    path,
    content: fc.uint8Array({ maxLength: 300 }),
    executable: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('device' as const), path, major: fc.nat(255), minor: fc.nat(255) }),
)

describe('an archive for the kernel', () => {
  it('has what was put in, in this order, and is the same every time', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 12 }), (entries) => {
        const archive = writeCpio(entries)
        expect(writeCpio(entries).equals(archive)).toBe(true)
        const members = readCpio(archive)
        expect(members.map((member) => member.path)).toEqual(entries.map((one) => one.path))
        expect(members.map(({ content }) => content.toString('hex'))).toEqual(
          entries.map((one) => (one.kind === 'file' ? Buffer.from(one.content).toString('hex') : '')),
        )
        expect(members.map(({ device }) => device)).toEqual(
          entries.map((one) => (one.kind === 'device' ? [one.major, one.minor] : [0, 0])),
        )
      }),
    )
  })

  it('tells folders, files, programs and devices apart', () => {
    const content = Buffer.from('x')
    const modes = readCpio(
      writeCpio([
        { kind: 'folder', path: 'dev' },
        { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
        { kind: 'file', path: 'list', content },
        { kind: 'file', path: 'init', content, executable: true },
      ]),
    ).map(({ mode }) => mode.toString(8))
    expect(modes).toEqual(['40755', '20600', '100644', '100755'])
  })

  it.each(['', '/init', 'a\0b', 'TRAILER!!!', 'x'.repeat(4_095)])('refuses the path %j', (wrong) => {
    expect(() => writeCpio([{ kind: 'folder', path: wrong }])).toThrow(RangeError)
  })
})
