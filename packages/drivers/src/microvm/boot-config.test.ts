import { assert, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bootConfig, type BootConfig } from './boot-config.ts'

const PLAIN: BootConfig = {
  mode: 'machine',
  hostname: 'story',
  root: 'erofs',
  tmpBytes: 1024,
  etc: {},
  volumes: [],
  stream: 'port',
  control: 'port',
}

describe('the configuration disk', () => {
  it('says everything in lines', () => {
    const text = bootConfig({
      ...PLAIN,
      net: { mac: '02:00:00:00:00:01', address: '192.0.2.15/24', gateway: '192.0.2.2' },
      etc: { hosts: 'a\n' },
      volumes: [{ tag: 'v0', kind: '9p', readOnly: true, target: '/a b' }],
      processes: 64,
      stream: 1024,
    })
    expect(text.trimEnd().split('\n')).toEqual([
      'cove-boot 1',
      'mode machine',
      'hostname story',
      'root erofs',
      'tmp 1024',
      'net 02:00:00:00:00:01 192.0.2.15/24 192.0.2.2',
      'etc hosts 610a',
      'volume v0 9p ro 2f612062',
      'processes 64',
      'stream vsock 1024',
      'control port',
      'end',
    ])
  })

  it('is whole sectors, and no value adds a line', () => {
    assert(
      property(string(), string(), (target, content) => {
        const text = bootConfig({
          ...PLAIN,
          etc: { hosts: content },
          volumes: [{ tag: 'v0', kind: '9p', readOnly: false, target }],
        })
        expect(Buffer.byteLength(text) % 512).toBe(0)
        expect(text.trimEnd().split('\n')).toHaveLength(10)
      }),
    )
  })

  it('takes no name that is more than a name', () => {
    for (const hostname of ['', 'a b', 'a\nend', 'ä'])
      expect(() => bootConfig({ ...PLAIN, hostname })).toThrow(/no plain name/)
  })
})
