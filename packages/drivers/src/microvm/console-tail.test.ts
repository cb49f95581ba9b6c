import { assert, property, uint8Array, constantFrom } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readConsoleEnd } from './console-tail.ts'

const end = (text: string) => readConsoleEnd(Buffer.from(text))

describe('the end of a console', () => {
  it('tells how the machine ended', () => {
    expect(end('cove-boot: ended exited 7\r\n')).toEqual({ exit: { kind: 'exited', code: 7 } })
    expect(end('x\ncove-boot: ended signaled 9\n\n')).toEqual({ exit: { kind: 'signaled', signal: 9 } })
    expect(end('cove-boot: ended out-of-memory\nreboot: Restarting system')).toEqual({
      exit: { kind: 'out-of-memory' },
    })
  })

  it('takes the last word of several', () => {
    expect(end('cove-boot: ended exited 0\r\ncove-boot: ended exited 3\r\n')).toEqual({
      exit: { kind: 'exited', code: 3 },
    })
    expect(end('cove-boot: failed: no root\ncove-boot: ended exited 3').exit).toEqual({ kind: 'exited', code: 3 })
  })

  it('tells why there was no end', () => {
    expect(end('cove-boot: failed: mount the root: EINVAL\r\n')).toEqual({ reason: 'mount the root: EINVAL' })
    expect(end('[ 0.1] Kernel panic - not syncing: Attempted to kill init!\r\n[ 0.1] CPU: 0')).toEqual({
      reason: 'kernel panic: Attempted to kill init!',
    })
  })

  it('believes nothing that only looks like it', () => {
    expect(end('')).toEqual({})
    for (const line of ['ended exited 256', 'ended exited', 'ended signaled 0', 'ended exited 0x', 'ended out']) {
      expect(end(`cove-boot: ${line}`)).toEqual({})
    }
    expect(end(' cove-boot: ended exited 0')).toEqual({})
  })

  it('answers something bounded and printable for whatever is there', () => {
    assert(
      property(
        uint8Array(),
        constantFrom('', 'cove-boot: failed: ', 'Kernel panic - not syncing: '),
        (bytes, before) => {
          const { reason = '' } = readConsoleEnd(Buffer.concat([Buffer.from(before), bytes]))
          expect(reason).toMatch(/^[\x20-\x7e]{0,400}$/)
        },
      ),
    )
  })
})
