import { describe, expect, it } from 'vitest'
import { ERROR_CODES, type ErrorCode } from './codes.ts'
import { CoveError } from './cove-error.ts'

describe('errors', () => {
  it('give every code a remediation that is a sentence, and statuses that exist', () => {
    for (const [code, facts] of Object.entries(ERROR_CODES)) {
      expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/)
      expect(facts.fix, code).toMatch(/^[A-Z].*\.$/)
      expect(facts.http, code).toBeGreaterThanOrEqual(400)
      expect(facts.grpc, code).toBeLessThanOrEqual(16)
    }
  })

  it('survive a wire, the special fix too', () => {
    const sent = new CoveError('no-space', 'the disk is full', { path: '/x' }, { fix: 'Empty /x.' })
    const read = CoveError.fromWire(sent.code, sent.message, sent.context, sent.fix)
    expect(read).toMatchObject({
      code: 'no-space',
      message: 'the disk is full',
      fix: 'Empty /x.',
      context: { path: '/x' },
    })
  })

  it('keep the message of a code that this version does not know', () => {
    expect(CoveError.fromWire('from-the-future', 'hello')).toMatchObject({
      code: 'internal' satisfies ErrorCode,
      message: 'hello (from-the-future)',
    })
  })

  it('take whatever was thrown', () => {
    expect(CoveError.from('text')).toMatchObject({ code: 'internal', message: 'text' })
    expect(CoveError.from(new DOMException('stop', 'AbortError'))).toMatchObject({ code: 'cancelled' })
    expect(CoveError.from(Object.assign(new Error('full'), { code: 'ENOSPC' }))).toMatchObject({ code: 'no-space' })
  })
})
