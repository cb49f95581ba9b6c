import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ScriptedRegistry, TestImage, type Script } from '../testing/index.ts'
import type { ImageSource, LayerBlob } from './image-source.ts'
import { openRegistry } from './open-registry.ts'
import { parsePlatform } from './platform.ts'
import type { RegistryOptions } from './registry.ts'

const { signal } = new AbortController()
const platform = parsePlatform('linux/amd64')
const layer = randomBytes(400_000)
const quick = { retries: 2, backoffMs: 5, stallMs: 5_000 }

let image: TestImage
let folder: string
let count = 0

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  image = new TestImage({ layers: [layer], compression: 'none' })
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
  image[Symbol.dispose]()
})

/** What comes of an image whose registry behaves as the script says. */
async function pull(script: Script, options: RegistryOptions = {}, given = new AbortController(), leaveAt = Infinity) {
  await using server = await ScriptedRegistry.start(image, script)
  using registry = openRegistry({ ...quick, ...options })
  const file = join(folder, String(count++))
  const began = performance.now()
  const outcome = await attempt(async () => {
    await using source = await registry.resolve(`${server.host}/a/b:1`, platform, given.signal)
    const onBytes = (bytes: number): void => void (bytes >= leaveAt && given.abort())
    await source.fetchLayer(layerOf(source), file, { signal: given.signal, onBytes })
    return readFileSync(file).equals(layer) ? 'whole' : 'damaged'
  })
  return { outcome, file, ms: performance.now() - began, asked: server.asked, paths: server.paths }
}

async function attempt<T>(work: () => Promise<T>): Promise<T | Error> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
}

function layerOf(source: ImageSource): LayerBlob {
  const [first] = source.layers
  if (first === undefined) throw new Error('the image has no layer')
  return first
}

function times(most: number, script: Script): Script {
  let left = most
  return (...args) => left-- > 0 && script(...args)
}

const forBlob =
  (answer: (response: ServerResponse) => void, which = (): string => image.layerDigests[0] ?? ''): Script =>
  (_request, response, path) => {
    if (path !== `blobs/${which()}`) return false
    answer(response)
    return true
  }

/** Most of the layer, and then something else. */
const half = (end: (response: ServerResponse) => void): Script =>
  forBlob((response) => {
    response.writeHead(200, { 'Content-Length': layer.length, ETag: '"tag"' })
    response.write(layer.subarray(0, 300_000), () => end(response))
  })

const blob = (bytes: Uint8Array, headers: Record<string, string | number> = {}): Script =>
  forBlob((response) => {
    response.writeHead(200, headers)
    response.end(bytes)
  })

const forManifest =
  (body: string | Buffer | object, headers: Record<string, string> = {}): Script =>
  (_request, response, path) => {
    if (!path.startsWith('manifests/')) return false
    const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)
    response.writeHead(200, headers)
    response.end(bytes)
    return true
  }

const status =
  (code: number, headers: Record<string, string> = {}, body = ''): Script =>
  (_request, response) => {
    response.writeHead(code, headers)
    response.end(body)
    return true
  }

describe('a registry that is not allowed', () => {
  test('is never asked, and one that is allowed gives its images', async () => {
    await using server = await ScriptedRegistry.start(image, times(0, status(500)))
    using others = openRegistry({ ...quick, allowed: ['ghcr.io'] })
    await expect(others.resolve(`${server.host}/a/b:1`, platform, signal)).rejects.toMatchObject({
      code: 'permission-denied',
      fix: expect.stringContaining('ghcr.io'),
    })
    await expect(others.resolve('alpine', platform, signal)).rejects.toMatchObject({
      context: { registry: 'docker.io' },
    })
    expect(server.paths).toEqual([])
    using own = openRegistry({ ...quick, allowed: ['ghcr.io', server.host] })
    await using source = await own.resolve(`${server.host}/a/b:1`, platform, signal)
    expect(source.layers).toHaveLength(1)
  })
})

describe('a registry that is busy', () => {
  test.each([
    [429, { 'Retry-After': '1' }, 990],
    [500, {}, 0],
    [502, {}, 0],
    [503, {}, 0],
  ])('and says %s once is asked again, not before it wants to be', async (code, headers, least) => {
    const { outcome, ms } = await pull(times(1, status(code, headers)))
    expect(outcome).toBe('whole')
    expect(ms).toBeGreaterThan(least)
  })

  test.each([429, 500])('and says %s always is given up', async (code) => {
    const { outcome, paths } = await pull(status(code, {}, '{"errors":[{"message":"too\\u001b[31m many"}]}'))
    expect(outcome).toMatchObject({ code: 'registry-unavailable', transient: true, context: { status: code } })
    expect((outcome as Error).message).toMatch(/says: too \[31m many \(127\.0\.0\.1:\d+\/a\/b\)/)
    expect(paths).toHaveLength(3)
  })

  test('and wants an hour of peace gets it', async () => {
    const { outcome, paths } = await pull(status(429, { 'Retry-After': '3600' }))
    expect(outcome).toMatchObject({ code: 'registry-unavailable' })
    expect(paths).toHaveLength(1)
  })

  test('or not there is said to be so', async () => {
    using registry = openRegistry(quick)
    const failed = registry.resolve('127.0.0.1:9/x', platform, signal)
    await expect(failed).rejects.toMatchObject({ code: 'registry-unavailable' })
  })
})

describe('a registry that breaks off', () => {
  test('in the middle of a layer is asked for the rest', async () => {
    const { outcome, asked } = await pull(
      times(
        3,
        half((response) => response.destroy()),
      ),
    )
    expect(outcome).toBe('whole')
    const last = asked.at(-1)
    expect(Number(/^bytes=(\d+)-$/.exec(last?.headers.range ?? '')?.[1])).toBeGreaterThan(100_000)
    expect(last?.headers['if-range']).toBe('"tag"')
  })

  test('again and again is given up, and the next pull goes on', async () => {
    await using server = await ScriptedRegistry.start(
      image,
      times(4, (request, response, path) => {
        if (!path.startsWith(`blobs/${image.layerDigests[0]}`)) return false
        // Only the first attempt gets anywhere.
        if (request.headers.range !== undefined) return (response.destroy(), true)
        response.writeHead(200, { 'Content-Length': layer.length })
        response.write(layer.subarray(0, 300_000), () => response.destroy())
        return true
      }),
    )
    using registry = openRegistry({ ...quick, retries: 0 })
    await using source = await registry.resolve(`${server.host}/a/b`, platform, signal)
    const file = join(folder, 'goes-on')
    const first = await attempt(() => source.fetchLayer(layerOf(source), file, { signal }))
    expect(first).toMatchObject({ code: 'registry-unavailable' })
    expect(existsSync(file)).toBe(false)
    const kept = statSync(`${file}.part`).size
    expect(kept).toBeGreaterThan(0)
    await expect(source.fetchLayer(layerOf(source), file, { signal })).rejects.toMatchObject({
      code: 'registry-unavailable',
    })
    for (let left = 3; left > 0 && !existsSync(file); left--) {
      await attempt(() => source.fetchLayer(layerOf(source), file, { signal }))
    }
    expect(readFileSync(file).equals(layer)).toBe(true)
    expect(server.asked.at(-1)?.headers.range).toMatch(/^bytes=\d+-$/)
    expect(existsSync(`${file}.part`)).toBe(false)
  })

  test('and then serves something else for the rest is noticed, and asked for all of it', async () => {
    let cut = false
    const { outcome } = await pull((request, response, path) => {
      if (path !== `blobs/${image.layerDigests[0]}`) return false
      if (!cut) {
        cut = true
        return half((open) => open.destroy())(request, response, path)
      }
      const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? -1)
      if (from < 0) return false
      const rest = Buffer.alloc(layer.length - from, 7)
      response.writeHead(206, { 'Content-Range': `bytes ${from}-${layer.length - 1}/${layer.length}` })
      response.end(rest)
      return true
    })
    expect(outcome).toBe('whole')
  })

  test('by silence is given up after the time that is allowed', async () => {
    const options = { stallMs: 150, retries: 1 }
    const first = half(() => undefined)
    const { outcome } = await pull(times(3, first), options)
    expect(outcome).toBe('whole')
    const silent = await pull(() => true, options)
    expect(silent.outcome).toMatchObject({
      code: 'registry-unavailable',
      message: expect.stringContaining('no byte for') as string,
    })
    expect(silent.ms).toBeLessThan(3_000)
  })

  test('can be left at any time, and what is there stays', async () => {
    const silent = half(() => undefined)
    const { outcome, file } = await pull(silent, {}, new AbortController(), 100_000)
    expect(outcome).toMatchObject({ code: 'cancelled' })
    expect(statSync(`${file}.part`).size).toBeGreaterThan(0)
    expect(existsSync(file)).toBe(false)
  })
})

describe('a registry that lies', () => {
  test.each([
    ['has other bytes', blob(randomBytes(400_000)), /another digest/],
    ['has too many bytes, and says so', blob(randomBytes(400_001), { 'Content-Length': 400_001 }), /400001 bytes/],
    ['has too many bytes, and does not say so', blob(randomBytes(4_000_000)), /longer than its 400000 bytes/],
    ['has too few bytes, and says so', blob(layer.subarray(1), { 'Content-Length': 399_999 }), /399999 bytes/],
    ['compresses', blob(layer, { 'Content-Encoding': 'gzip' }), /compressed on its way/],
  ])('about a layer: %s', async (_what, script, message) => {
    const { outcome, file } = await pull(script)
    expect(outcome).toMatchObject({ code: 'image-invalid', message: expect.stringMatching(message) as string })
    expect(existsSync(file)).toBe(false)
  })

  test('about a layer that ends too early', async () => {
    const { outcome } = await pull(blob(layer.subarray(0, 1_000)))
    expect(outcome).toMatchObject({
      code: 'registry-unavailable',
      message: expect.stringMatching(/too early/) as string,
    })
  })

  test('about the configuration', async () => {
    const { outcome } = await pull(
      forBlob(
        (response) => response.end('{}'),
        () => image.configDigest,
      ),
    )
    expect(outcome).toMatchObject({ code: 'image-invalid' })
    const long = forBlob(
      (response) => response.end(Buffer.alloc(9_000_000, ' ')),
      () => image.configDigest,
    )
    expect((await pull(long)).outcome).toMatchObject({ code: 'image-invalid' })
  })

  test('about the digest of a manifest', async () => {
    const said = await pull(forManifest('{}', { 'Docker-Content-Digest': `sha256:${'0'.repeat(64)}` }))
    expect(said.outcome).toMatchObject({ code: 'image-invalid' })
    await using server = await ScriptedRegistry.start(image, forManifest('{"schemaVersion":2}'))
    using registry = openRegistry(quick)
    const asked = registry.resolve(`${server.host}/x@sha256:${'0'.repeat(64)}`, platform, signal)
    await expect(asked).rejects.toMatchObject({ code: 'image-invalid' })
  })

  test.each([true, false])('with a manifest of 100 MB is not read to the end (size told: %s)', async (told) => {
    let sent = 0
    const { outcome } = await pull((_request, response, path) => {
      if (!path.startsWith('manifests/')) return false
      response.writeHead(200, told ? { 'Content-Length': 100_000_000 } : {})
      const chunk = Buffer.alloc(100_000, ' ')
      const more = (): void => {
        while (sent < 100_000_000 && !response.destroyed) {
          sent += chunk.length
          if (!response.write(chunk)) return void response.once('drain', more)
        }
      }
      more()
      return true
    })
    expect(outcome).toMatchObject({ code: 'image-invalid' })
    expect(sent).toBeLessThan(20_000_000)
  })
})

describe('a manifest', () => {
  const digest = `sha256:${'1'.repeat(64)}`
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 }
  const tar = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: 2 }
  const OCI = 'application/vnd.oci.image.manifest.v1+json'
  const INDEX = 'application/vnd.oci.image.index.v1+json'
  const made = (value: object): object => ({ schemaVersion: 2, mediaType: OCI, config, layers: [tar], ...value })

  test.each<[string, object | string, string, RegExp, Record<string, string>?]>([
    ['of an unknown type', made({ mediaType: 'application/vnd.x+json' }), 'unsupported', /vnd\.x\+json/],
    [
      'of an unknown type by its header',
      { schemaVersion: 2 },
      'unsupported',
      /text\/html/,
      { 'Content-Type': 'text/html' },
    ],
    [
      'of schema 1',
      { schemaVersion: 1 },
      'unsupported',
      /schema 1/,
      { 'Content-Type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' },
    ],
    ['of two types', made({}), 'image-invalid', /was sent as/, { 'Content-Type': INDEX }],
    ['that is image and index', made({ manifests: [] }), 'image-invalid', /at once/],
    [
      'of a chart',
      made({ config: { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' } }),
      'unsupported',
      /helm/,
    ],
    ['with an unknown layer', made({ layers: [{ ...tar, mediaType: 'application/x-7z' }] }), 'unsupported', /x-7z/],
    [
      'with a foreign layer',
      made({ layers: [{ ...tar, mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' }] }),
      'unsupported',
      /may not be distributed/,
    ],
    [
      'with an encrypted layer',
      made({ layers: [{ ...tar, mediaType: `${tar.mediaType}+encrypted` }] }),
      'unsupported',
      /encrypted/,
    ],
    [
      'with a digest that is a path',
      made({ layers: [{ ...tar, digest: 'sha256:../../etc/passwd' }] }),
      'image-invalid',
      /digest/,
    ],
    ['with a negative size', made({ layers: [{ ...tar, size: -1 }] }), 'image-invalid', /size/],
    ['with 501 layers', made({ layers: Array.from({ length: 501 }, () => tar) }), 'image-invalid', /more than 500/],
    ['with a large configuration', made({ config: { ...config, size: 5_000_000 } }), 'image-invalid', /too large/],
    ['that is not JSON', '<html>', 'image-invalid', /not JSON/],
    ['that is a list', '[]', 'image-invalid', /not an object/],
    ['that is empty', '', 'image-invalid', /not JSON/],
    ['of no platforms', { schemaVersion: 2, mediaType: INDEX, manifests: [] }, 'image-invalid', /empty/],
    [
      'of a large manifest',
      { schemaVersion: 2, mediaType: INDEX, manifests: [{ mediaType: OCI, digest, size: 5_000_000, platform }] },
      'image-invalid',
      /too large/,
    ],
  ])('%s is refused', async (_what, body, code, message, headers = {}) => {
    const { outcome } = await pull(forManifest(body, headers))
    expect(outcome).toMatchObject({ code, message: expect.stringMatching(message) as string })
  })

  test('in an index in an index without end is refused', async () => {
    const chain = [JSON.stringify(made({}))]
    for (let depth = 0; depth < 6; depth++) {
      const inner = chain.at(-1) ?? ''
      const entry = { mediaType: INDEX, size: inner.length, platform, digest: `sha256:${sha(inner)}` }
      chain.push(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [entry] }))
    }
    const byDigest = new Map(chain.map((text) => [`manifests/sha256:${sha(text)}`, text]))
    const { outcome, paths } = await pull((_request, response, path) => {
      const text = byDigest.get(path) ?? (path.startsWith('manifests/') ? chain.at(-1) : undefined)
      if (text === undefined) return false
      response.end(text)
      return true
    })
    expect(outcome).toMatchObject({ code: 'image-invalid', message: expect.stringMatching(/too deep/) as string })
    expect(paths.length).toBeLessThan(8)
  })
})

describe('redirects', () => {
  test('are followed to other hosts without what proves who one is', async () => {
    await using storage = await ScriptedRegistry.start(image)
    const login = { username: 'ann', password: 'x' }
    const script: Script = (request, response, path) => {
      if (request.headers.authorization === undefined) {
        return status(401, { 'WWW-Authenticate': 'Basic realm="x"' })(request, response, path)
      }
      if (!path.startsWith('blobs/')) return false
      response.writeHead(307, { Location: `http://${storage.host}/v2/other/${path}` })
      response.end()
      return true
    }
    await using server = await ScriptedRegistry.start(image, script)
    using registry = openRegistry({ ...quick, credentials: { [server.host]: { kind: 'basic', ...login } } })
    await using source = await registry.resolve(`${server.host}/a`, platform, signal)
    const file = join(folder, 'redirected')
    await source.fetchLayer(layerOf(source), file, { signal })
    expect(readFileSync(file).equals(layer)).toBe(true)
    expect(server.asked.filter(({ headers }) => headers.authorization !== undefined).length).toBeGreaterThan(1)
    expect(storage.asked.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined])
  })

  test.each(['http://127.0.0.1:1/', '/v2/self', 'ftp://x/', 'file:///etc/passwd', 'nonsense://', ''])(
    'to %j without end or sense are given up',
    async (location) => {
      const { outcome, paths } = await pull(status(302, { Location: location }))
      expect(['image-invalid', 'registry-unavailable']).toContain((outcome as { readonly code?: string }).code)
      expect(paths.length).toBeLessThan(8)
    },
  )

  test('to a host that asks for a login tell it nothing', async () => {
    await using thief = await ScriptedRegistry.start(image, (request, response, path) => {
      const realm = `Bearer realm="http://${request.headers.host}/token",service="s"`
      if (path.startsWith('/token')) return status(200, {}, '{"token":"x"}')(request, response, path)
      return status(401, { 'WWW-Authenticate': realm })(request, response, path)
    })
    await using server = await ScriptedRegistry.start(image, (request, response, path) => {
      if (!path.startsWith('blobs/')) return false
      return status(307, { Location: `http://${thief.host}${request.url}` })(request, response, path)
    })
    const login = { kind: 'basic', username: 'ann', password: 'secret' } as const
    using registry = openRegistry({ ...quick, credentials: { [server.host]: login } })
    const outcome = await attempt(async () => await registry.resolve(`${server.host}/a/b`, platform, signal))
    expect(outcome).toMatchObject({ code: 'unauthenticated' })
    expect(thief.asked.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })
})

describe('a login', () => {
  test('by tokens is renewed when they end, and asked for once by many', async () => {
    using many = new TestImage({ layers: Array.from({ length: 8 }, () => randomBytes(50_000)), compression: 'none' })
    const asked: string[] = []
    let given = 0
    let valid = ''
    let [at, most] = [0, 0]
    const script: Script = async (request, response, path) => {
      const { pathname, searchParams } = new URL(request.url ?? '', 'http://x')
      if (pathname === '/token') {
        asked.push(`${searchParams.get('service')} ${searchParams.get('scope')}`)
        valid = `t${++given}`
        response.end(JSON.stringify({ token: valid, expires_in: 300 }))
        return true
      }
      // The first token ends after the manifest and the configuration.
      if (given === 1 && path.startsWith('blobs/') && path !== `blobs/${many.configDigest}`) valid = 'none'
      if (request.headers.authorization !== `Bearer ${valid}`) {
        const realm = `realm="http://${request.headers.host}/token",service="svc"`
        return status(401, { 'WWW-Authenticate': `Bearer ${realm},scope="repository:a/b:pull"` })(
          request,
          response,
          path,
        )
      }
      most = Math.max(most, ++at)
      await new Promise((resolve) => setTimeout(resolve, 20))
      at--
      return false
    }
    await using server = await ScriptedRegistry.start(many, script)
    using registry = openRegistry(quick)
    await using source = await registry.resolve(`${server.host}/a/b`, platform, signal)
    const fetches = source.layers.map((one, index) => source.fetchLayer(one, join(folder, `many-${index}`), { signal }))
    expect(await Promise.all(fetches)).toHaveLength(8)
    expect(asked).toEqual(Array.from({ length: 2 }, () => 'svc repository:a/b:pull'))
    // And never more than three layers at a time.
    expect(most).toBe(3)
  })

  test('by an identity token is sent as a form, and never shown', async () => {
    const bodies: string[] = []
    const script: Script = async (request, response, path) => {
      if (request.url === '/token') {
        let body = ''
        for await (const chunk of request) body += String(chunk)
        bodies.push(`${request.method} ${body}`)
        response.end('{"access_token":"good"}')
        return true
      }
      if (request.headers.authorization === 'Bearer good') return false
      const realm = `realm="http://${request.headers.host}/token"`
      return status(401, { 'WWW-Authenticate': `Bearer ${realm},service="s"` })(request, response, path)
    }
    await using server = await ScriptedRegistry.start(image, script)
    const token = 'se/cret+'
    using registry = openRegistry({ ...quick, credentials: { [server.host]: { kind: 'identity-token', token } } })
    await using source = await registry.resolve(`${server.host}/a/b`, platform, signal)
    expect(source.layers).toHaveLength(1)
    const form = 'service=s&scope=repository%3Aa%2Fb%3Apull&grant_type=refresh_token&client_id=cove'
    expect(bodies).toEqual([`POST ${form}&refresh_token=se%2Fcret%2B`])
  })

  test.each([
    ['nothing', {}],
    ['something unknown', { 'WWW-Authenticate': 'Negotiate' }],
    ['a password', { 'WWW-Authenticate': 'Basic realm="x"' }],
  ])('by %s is told', async (_what, headers) => {
    const { outcome } = await pull(status(401, headers, '{"errors":[{"message":"authentication required"}]}'))
    expect(outcome).toMatchObject({
      code: 'unauthenticated',
      message: expect.stringContaining('authentication required') as string,
      fix: expect.stringContaining('docker login') as string,
    })
  })

  test('at a realm that is none, or answers nonsense, is not tried', async () => {
    for (const realm of ['file:///etc/passwd', 'x', 'http://u:p@127.0.0.1/']) {
      const { outcome } = await pull(status(401, { 'WWW-Authenticate': `Bearer realm="${realm}"` }))
      expect(outcome).toMatchObject({ code: 'registry-unavailable' })
    }
    for (const body of ['', '[]', '{}', '{"token":"a\\r\\nb"}', `{"token":"${'x'.repeat(300_000)}"}`]) {
      const { outcome } = await pull((request, response, path) => {
        if (request.url?.startsWith('/token') === true) return status(200, {}, body)(request, response, path)
        const realm = `Bearer realm="http://${request.headers.host}/token"`
        return status(401, { 'WWW-Authenticate': realm })(request, response, path)
      })
      expect(outcome).toBeInstanceOf(Error)
      expect((outcome as Error).name).toBe('CoveError')
    }
  })
})

test('a large layer takes no memory', async () => {
  const piece = Buffer.alloc(1024 * 1024, 5)
  const hash = createHash('sha256')
  for (let at = 0; at < 300; at++) hash.update(piece)
  const large: LayerBlob = {
    mediaType: 'x',
    digest: `sha256:${hash.digest('hex')}`,
    size: 300 * piece.length,
    diffId: '',
  }
  await using server = await ScriptedRegistry.start(image, async (_request, response, path) => {
    if (path !== `blobs/${large.digest}`) return false
    for (let at = 0; at < 300; at++) {
      if (!response.write(piece)) await new Promise((resolve) => response.once('drain', resolve))
    }
    response.end()
    return true
  })
  using registry = openRegistry(quick)
  await using source = await registry.resolve(`${server.host}/a`, platform, signal)
  const before = process.memoryUsage.rss()
  let most = 0
  const onBytes = (): void => void (most = Math.max(most, process.memoryUsage.rss()))
  const file = join(folder, 'large')
  await source.fetchLayer(large, file, { signal, onBytes })
  expect(statSync(file).size).toBe(large.size)
  expect((most - before) / 2 ** 20).toBeLessThan(120)
  rmSync(file)
})

function sha(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
