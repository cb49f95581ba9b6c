import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CoveError } from '@cove/domain'
import { Fields } from '@cove/frames'
import type { HostProcessSpec } from './host-process-spec.ts'
import { encodeSpec } from './spec-encoder.ts'

const BARE: HostProcessSpec = { id: 'id', owner: 'durable', argv: ['/bin/true'], env: {} }

describe('a specification on the wire', () => {
  it('says everything that it was given, in order', () => {
    const fields = new Fields(
      encodeSpec({
        ...BARE,
        owner: { pid: 7, startTime: 9 },
        env: { A: '1', B: '=' },
        blobs: [{ fd: 4, data: Buffer.from([0, 255]) }],
        cgroups: [{ path: '/c', set: [{ file: 'f', value: 'v', required: false }], join: true }],
        mounts: [
          { kind: 'tmpfs', target: '/t', sizeBytes: 2 ** 40, mode: 0o700 },
          { kind: 'overlay', lower: ['/a', '/b'], upper: '/u', work: '/w', target: '/o', mapped: true },
        ],
        rlimits: [{ name: 'nofile', soft: 1, hard: Number.POSITIVE_INFINITY }],
        oomScoreAdj: -1000,
      }),
    )
    expect(fields.fields(3)?.allNumbers(2)).toEqual([9])
    expect(fields.allTexts(6)).toEqual(['A=1', 'B=='])
    expect(fields.fields(11)?.needBytes(2)).toEqual(Buffer.from([0, 255]))
    expect(fields.fields(13)?.fields(3)?.truth(3)).toBe(false)
    expect(fields.allFields(15).map((mount) => mount.number(1))).toEqual([3, 2])
    expect(fields.allFields(15)[0]?.number(10)).toBe(2 ** 40)
    expect(fields.allFields(15)[1]?.allTexts(6)).toEqual(['/a', '/b'])
    expect(fields.fields(17)?.number(3)).toBe(Number.MAX_SAFE_INTEGER)
    expect(fields.number(18)).toBe(0)
  })

  it('is refused with a CoveError, whatever cannot be said', () => {
    const anySpec = fc.record({
      id: fc.string({ unit: 'grapheme' }),
      owner: fc.oneof(fc.constant('durable' as const), fc.record({ pid: fc.double(), startTime: fc.double() })),
      argv: fc.array(fc.string()),
      env: fc.dictionary(fc.string(), fc.string()),
      folders: fc.array(fc.record({ path: fc.string(), mode: fc.double() })),
      oomScoreAdj: fc.double(),
    })
    fc.assert(
      fc.property(anySpec, (spec) => {
        expect(outcome(spec)).toMatch(/^(encoded|CoveError)$/)
      }),
    )
  })
})

function outcome(spec: HostProcessSpec): string {
  try {
    return new Fields(encodeSpec(spec)).text(2) === spec.id ? 'encoded' : 'changed'
  } catch (error) {
    return error instanceof CoveError ? 'CoveError' : String(error)
  }
}
