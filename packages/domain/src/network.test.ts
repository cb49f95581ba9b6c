import { describe, expect, it } from 'vitest'
import { formatIp, networkOf, parseIp } from './ip-address.ts'
import { MAX_ALLOWED, parseAllow, parseAllowed } from './network.ts'

const ip = (text: string) => {
  const address = parseIp(text)
  if (address === undefined) throw new Error(`${text} is no address`)
  return address
}

describe('addresses', () => {
  it.each([
    ['10.1.2.3', '10.1.2.3'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '0:0:0:0:0:0:0:0'],
    ['::1', '0:0:0:0:0:0:0:1'],
    ['fd12::', 'fd12:0:0:0:0:0:0:0'],
    ['FD12::A', 'fd12:0:0:0:0:0:0:a'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::ffff:10.0.0.1', '0:0:0:0:0:ffff:a00:1'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0:0:0:c000:201'],
  ])('%s is read', (text, whole) => expect(formatIp(ip(text))).toBe(whole))

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '01.2.3.4',
    '0x7f.0.0.1',
    '1.2.3.4 ',
    ':',
    ':::',
    '1::2::3',
    '12345::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4::5:6:7:8',
    'fe80::1%eth0',
    '::1.2.3',
    '1.2.3.4::',
  ])('%j is not', (text) => expect(parseIp(text)).toBeUndefined())

  it('are cut to their network', () => {
    expect(formatIp(networkOf(ip('10.1.2.3'), 8))).toBe('10.0.0.0')
    expect(formatIp(networkOf(ip('10.1.2.3'), 0))).toBe('0.0.0.0')
    expect(formatIp(networkOf(ip('fd12:3456::1'), 20))).toBe('fd12:3000:0:0:0:0:0:0')
  })
})

describe('allow', () => {
  it.each([
    ['10.1.2.3', { kind: 'addresses', network: ip('10.1.2.3'), bits: 32 }],
    ['10.1.2.3:80', { kind: 'addresses', network: ip('10.1.2.3'), bits: 32, port: 80 }],
    ['10.1.2.3/16', { kind: 'addresses', network: ip('10.1.0.0'), bits: 16 }],
    ['10.1.0.0/16:443', { kind: 'addresses', network: ip('10.1.0.0'), bits: 16, port: 443 }],
    ['169.254.169.254:80', { kind: 'addresses', network: ip('169.254.169.254'), bits: 32, port: 80 }],
    ['fd12::1', { kind: 'addresses', network: ip('fd12::1'), bits: 128 }],
    ['fd12::/32', { kind: 'addresses', network: ip('fd12::'), bits: 32 }],
    ['[fd12::1]', { kind: 'addresses', network: ip('fd12::1'), bits: 128 }],
    ['[fd12::1]:80', { kind: 'addresses', network: ip('fd12::1'), bits: 128, port: 80 }],
    ['[fd12::/32]:80', { kind: 'addresses', network: ip('fd12::'), bits: 32, port: 80 }],
    ['db.example.com:5432', { kind: 'name', name: 'db.example.com', port: 5432 }],
    ['db:5432', { kind: 'name', name: 'db', port: 5432 }],
    ['host:5432', { kind: 'host', port: 5432 }],
    ['host.example.com:1', { kind: 'name', name: 'host.example.com', port: 1 }],
  ])('%s is understood', (entry, target) => expect(parseAllowed(entry)).toEqual(target))

  it.each([
    '',
    ' ',
    '*',
    'host',
    'db.example.com',
    'localhost:80',
    '127.0.0.1:80',
    '127.8.0.0/16',
    '::1',
    '[::1]:80',
    '0.0.0.0',
    '::',
    '224.0.0.1',
    '255.255.255.255',
    'ff02::1',
    'fe80::1',
    '::ffff:10.0.0.1',
    '[::ffff:127.0.0.1]:80',
    '198.19.255.3:80',
    'fd00::3',
    '10.1.2.3:0',
    '10.1.2.3:65536',
    '10.1.2.3:http',
    '10.1.2.3:',
    '10.1.2.3/33',
    '10.1.2.3/',
    '10.1.2/24',
    '10.1.2.3.4:80',
    '[10.1.2.3]:80',
    '[fd12::1',
    'fd12::1]:80',
    '[fd12::1]80',
    'fd12::/129',
    'a b:80',
    'a;b:80',
    'a\n:80',
    '{ 10.0.0.0/8 }',
    '-a.example:80',
    'a..b:80',
    'http://example.com:80',
    'x'.repeat(400),
    `${'x'.repeat(64)}.example:80`,
  ])('%j is refused, and named', (entry) => {
    const named = JSON.stringify(entry).slice(1, 20).replace(/"$/, '')
    expect(() => parseAllowed(entry)).toThrow(
      expect.objectContaining({
        code: 'invalid-argument',
        context: expect.objectContaining({ field: 'network.allow' }),
        message: expect.stringContaining(named),
      }),
    )
  })

  it('has an end', () => {
    const entries = Array.from({ length: MAX_ALLOWED + 1 }, (_, index) => `10.0.0.${index}`)
    expect(parseAllow(entries.slice(1))).toHaveLength(MAX_ALLOWED)
    expect(() => parseAllow(entries)).toThrow('more than 64')
  })
})
