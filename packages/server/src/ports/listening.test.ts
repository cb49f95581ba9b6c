import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseTables } from './listening.ts'

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
const REST = '00000000:00000000 00:00000000 00000000  1000        0 12345 1 0000000000000000 100 0 0 10 0\n'

const FOUR = `${HEAD}   0: 0100007F:1F90 00000000:0000 0A ${REST}   1: 00000000:0BB8 00000000:0000 0A ${REST}   2: 0100007F:1F90 0100007F:D431 01 ${REST}`
const SIX = `${HEAD}   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A ${REST}   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A ${REST}   2: 000080FE00000000FF005450B6F3FDFE:0016 00000000000000000000000000000000:0000 0A ${REST}   3: 0000000000000000FFFF00000100007F:1F91 00000000000000000000000000000000:0000 0A ${REST}`

test('what listens is told once per port, with every address', () => {
  expect(parseTables(FOUR, SIX)).toEqual([
    { port: 22, addresses: ['fe80::5054:ff:fefd:f3b6'] },
    { port: 3000, addresses: ['0.0.0.0', '::'] },
    { port: 8080, addresses: ['127.0.0.1', '::1'] },
    { port: 8081, addresses: ['::ffff:7f00:1'] },
  ])
})

test.each([
  '',
  HEAD,
  'nonsense\n',
  FOUR.replaceAll(' 0A ', ' 06 '),
  FOUR.replaceAll(':1F90', ':0000').replaceAll(':0BB8', ':0000'),
])('nothing listens by %#', (table) => {
  expect(parseTables(table)).toEqual([])
})

test('a table that was cut or changed anywhere never makes it stumble', () => {
  const table = FOUR + SIX
  fc.assert(
    fc.property(fc.nat(table.length), fc.nat(table.length - 1), fc.string({ maxLength: 8 }), (cut, at, odd) => {
      for (const text of [table.slice(0, cut), table.slice(0, at) + odd + table.slice(at + odd.length)]) {
        for (const { port, addresses } of parseTables(text)) {
          expect(port).toBeGreaterThanOrEqual(1)
          expect(port).toBeLessThanOrEqual(65_535)
          expect(addresses.length).toBeGreaterThanOrEqual(1)
        }
      }
    }),
  )
})
