import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isLoopbackHost, isPrivateAddress } from './addresses.ts'

describe('an address', () => {
  it.each([
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '198.19.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    'fe80::1',
    'fe80::1%eth0',
    'fc00::1',
    'fd12:3456::1',
    'ff02::1',
    '::ffff:127.0.0.1',
    '::ffff:a9fe:a9fe',
    '::10.0.0.1',
    '64:ff9b::10.0.0.1',
    '64:ff9b:1::1.2.3.4',
    '100::1',
    '2002:7f00:1::',
    'not an address',
    '',
  ])('%s is not of the public internet', (text) => {
    expect(isPrivateAddress(text)).toBe(true)
  })

  it.each([
    '1.1.1.1',
    '9.255.255.255',
    '11.0.0.0',
    '172.32.0.1',
    '100.128.0.1',
    '223.255.255.255',
    '2606:4700::1111',
    '::ffff:1.1.1.1',
    '2002:101:101::',
  ])('%s is', (text) => {
    expect(isPrivateAddress(text)).toBe(false)
  })

  it('of IPv4 is the same in IPv6', () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        expect(isPrivateAddress(`::ffff:${text}`)).toBe(isPrivateAddress(text))
      }),
    )
  })

  it('or name of this machine is known as such', () => {
    expect(['localhost', 'x.localhost', '127.0.0.1', '127.9.9.9', '[::1]', '::1'].every(isLoopbackHost)).toBe(true)
    expect(['localhost.com', '10.0.0.1', 'notlocalhost', '[::2]', ''].some(isLoopbackHost)).toBe(false)
  })
})
