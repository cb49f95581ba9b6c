import { execFileSync } from 'node:child_process'
import { createPrivateKey, createSign, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { missingForRegistry, ScriptedRegistry, tarBytes, TestImage, TestRegistry } from '../testing/index.ts'
import { openRegistry } from './open-registry.ts'
import { parsePlatform } from './platform.ts'

const OPENSSL = '/usr/bin/openssl'
const missing = existsSync(OPENSSL) ? undefined : 'openssl is not installed'
const missingRegistry = missing ?? missingForRegistry()
if (missingRegistry !== undefined) console.log(`skipped: registries with certificates: ${missingRegistry}`)

const { signal } = new AbortController()
const platform = parsePlatform('linux/amd64')
const quick = { retries: 1, backoffMs: 5, stallMs: 5_000 }

let folder: string
let image: TestImage
let key: string
let cert: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  image = new TestImage({ layers: [tarBytes([{ name: 'a', content: 'hello' }])] })
  if (missing !== undefined) return
  const subject = ['-subj', '/CN=cove-test', '-addext', 'subjectAltName=IP:127.0.0.1']
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  execFileSync(OPENSSL, ['req', '-x509', ...kind, ...subject, ...files], { stdio: 'pipe' })
  key = readFileSync(join(folder, 'key.pem'), 'utf8')
  cert = readFileSync(join(folder, 'cert.pem'), 'utf8')
})
afterAll(() => {
  image[Symbol.dispose]()
  rmSync(folder, { recursive: true, force: true })
})

describe.skipIf(missing !== undefined)('a registry that speaks TLS', () => {
  test('is believed when the authority is known, and only then', async () => {
    await using server = await ScriptedRegistry.start(image, () => false, { tls: { key, cert } })
    using stranger = openRegistry(quick)
    await expect(stranger.resolve(`${server.host}/a`, platform, signal)).rejects.toMatchObject({
      code: 'registry-unavailable',
      fix: expect.stringContaining('certificate of the authority') as string,
    })
    expect(server.asked).toHaveLength(0)
    using friend = openRegistry({ ...quick, certificateAuthorities: [cert] })
    await using source = await friend.resolve(`${server.host}/a`, platform, signal)
    await source.fetchLayer(source.layers[0] ?? bad(), join(folder, 'by-tls'), { signal })
    expect(existsSync(join(folder, 'by-tls'))).toBe(true)
  })

  test('does not send away to a place without it', async () => {
    await using plain = await ScriptedRegistry.start(image)
    await using server = await ScriptedRegistry.start(
      image,
      (_request, response, path) => {
        response.writeHead(307, { Location: `http://${plain.host}/v2/a/${path}` })
        response.end()
        return true
      },
      { tls: { key, cert } },
    )
    using registry = openRegistry({ ...quick, certificateAuthorities: [cert] })
    const failed = registry.resolve(`${server.host}/a`, platform, signal)
    await expect(failed).rejects.toMatchObject({ code: 'image-invalid' })
    expect(plain.asked).toHaveLength(0)
  })
})

describe.skipIf(missingRegistry !== undefined)('a real registry with a token server', () => {
  let tokens: Server
  let server: TestRegistry
  let reference: string
  const asked: string[] = []

  beforeAll(async () => {
    if (missingRegistry !== undefined) return
    tokens = createServer((request, response) => {
      const url = new URL(request.url ?? '', 'http://x')
      const scopes = url.searchParams.getAll('scope')
      asked.push(`${request.headers.authorization ?? 'anonymous'} ${scopes.join(' ')}`)
      const known = request.headers.authorization === `Basic ${Buffer.from('ann:secret').toString('base64')}`
      // Whoever is not known may pull what is public.
      const granted = scopes.filter((scope) => known || /^repository:public\/.*:pull$/.test(scope))
      response.end(JSON.stringify({ token: jwt(granted, url.searchParams.get('service') ?? ''), expires_in: 60 }))
    })
    tokens.listen(0, '127.0.0.1')
    await once(tokens, 'listening')
    const { port } = tokens.address() as AddressInfo
    const token = { realm: `http://127.0.0.1:${port}/token`, service: 'test', issuer: 'cove-test' }
    server = await TestRegistry.start({ token: { ...token, certificates: join(folder, 'cert.pem') } })
    const login = ['--dest-tls-verify=false', '--dest-creds=ann:secret']
    for (const name of ['public/a:1', 'private/a:1']) {
      await server.skopeo('copy', '-q', ...login, `oci:${image.folder}:latest`, `docker://${server.host}/${name}`)
    }
    reference = server.host
  })
  afterAll(async () => {
    tokens?.close()
    tokens?.closeAllConnections()
    await server?.[Symbol.asyncDispose]()
  })

  test('gives to everybody what is public, and to those it knows the rest', async () => {
    using anybody = openRegistry(quick)
    await using open = await anybody.resolve(`${reference}/public/a:1`, platform, signal)
    await open.fetchLayer(open.layers[0] ?? bad(), join(folder, 'public'), { signal })
    await expect(anybody.resolve(`${reference}/private/a:1`, platform, signal)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
    asked.length = 0
    const ann = { kind: 'basic', username: 'ann', password: 'secret' } as const
    using known = openRegistry({ ...quick, credentials: { [reference]: ann } })
    await using closed = await known.resolve(`${reference}/private/a:1`, platform, signal)
    await closed.fetchLayer(closed.layers[0] ?? bad(), join(folder, 'private'), { signal })
    expect(readFileSync(join(folder, 'private')).equals(readFileSync(join(folder, 'public')))).toBe(true)
    // Once for all three documents.
    expect(asked).toEqual([`Basic ${Buffer.from('ann:secret').toString('base64')} repository:private/a:pull`])
  })
})

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token as the registry wants it: signed by the certificate that it was given. */
function jwt(scopes: readonly string[], audience: string): string {
  const access = scopes.map((scope) => {
    const [type, name, actions = ''] = scope.split(':')
    return { type, name, actions: actions.split(',') }
  })
  const now = Math.floor(Date.now() / 1_000)
  const claims = {
    iss: 'cove-test',
    sub: 'x',
    aud: audience,
    iat: now,
    nbf: now - 10,
    exp: now + 60,
    jti: String(now),
    access,
  }
  const chain = [new X509Certificate(cert).raw.toString('base64')]
  const text = `${part({ typ: 'JWT', alg: 'ES256', x5c: chain })}.${part(claims)}`
  const signature = createSign('SHA256')
    .update(text)
    .sign({ key: createPrivateKey(key), dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

function bad(): never {
  throw new Error('the image has no layer')
}
