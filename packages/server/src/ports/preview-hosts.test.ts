import * as fc from 'fast-check'
import type { SandboxId } from '@cove/domain'
import { expect, test } from 'vitest'
import { PreviewHosts } from './preview-hosts.ts'

const id = 'abcdefghijklmnop' as SandboxId
const local = new PreviewHosts({ domain: 'localhost', listening: () => 8080 })
const far = new PreviewHosts({
  domain: 'Preview.Example.com',
  publicUrl: new URL('https://cove.example.com'),
  listening: () => 8080,
})

test.each([
  [`3000-${id}.localhost`, 3000],
  [`3000-${id}.localhost:8080`, 3000],
  [`3000-${id.toUpperCase()}.LOCALHOST.:1`, 3000],
  [`65535-${id}.localhost`, 65535],
  [`65536-${id}.localhost`, undefined],
  [`0-${id}.localhost`, undefined],
  [`03000-${id}.localhost`, undefined],
  [`3000-${id}`, undefined],
  [`3000-${id}.localhost.evil`, undefined],
  [`3000-${id}.evil`, undefined],
  [`x.3000-${id}.localhost`, undefined],
  [`3000-${id}1.localhost`, undefined],
  [`3000-${id}.localhost/`, undefined],
  [`3000-${id}.localhost@evil`, undefined],
  [`3000-${id}.localhost:99999999`, undefined],
  ['localhost', undefined],
  ['', undefined],
  [undefined, undefined],
])('the host %j leads to port %j', (authority, port) => {
  expect(local.parse(authority)).toEqual(port === undefined ? undefined : { sandbox: id, port })
})

test('addresses have the port by which the caller came, or those of what stands in front', () => {
  const address = { sandbox: id, port: 3000 }
  expect(local.origin(address)).toBe(`http://3000-${id}.localhost:8080`)
  expect(local.origin(address, '127.0.0.1:9999')).toBe(`http://3000-${id}.localhost:9999`)
  expect(local.origin(address, '[::1]:9999')).toBe(`http://3000-${id}.localhost:9999`)
  expect(local.origin(address, 'cove.test')).toBe(`http://3000-${id}.localhost`)
  expect(local.origin(address, 'evil host')).toBe(`http://3000-${id}.localhost:8080`)
  expect(far.origin(address, '127.0.0.1:9999')).toBe(`https://3000-${id}.preview.example.com`)
  expect([local.secure, far.secure]).toEqual([false, true])
})

test('what is made can be read again', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 65_535 }), fc.stringMatching(/^[a-z2-7]{16}$/), (port, sandbox) => {
      const address = { sandbox: sandbox as SandboxId, port }
      for (const hosts of [local, far]) {
        expect(hosts.parse(new URL(hosts.origin(address, 'x:1234')).host)).toEqual(address)
      }
    }),
  )
})

test('no text makes it stumble', () => {
  const parts = fc.constantFrom('3000', '-', id, '.', 'localhost', ':', '8080', '@', '/', '\0', 'é', '%2e', '[', ']')
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(parts, { maxLength: 10 }).map((all) => all.join('')),
      ),
      (text) => {
        const found = local.parse(text)
        const named = found === undefined ? '' : `${found.port}-${found.sandbox}.localhost`
        expect(text.toLowerCase()).toContain(named)
      },
    ),
  )
})
