import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { missingForRegistry, TestImage, TestRegistry } from '../testing/index.ts'
import type { ImageSource } from './image-source.ts'
import { openRegistry } from './open-registry.ts'
import { hostPlatform, parsePlatform } from './platform.ts'

const missing = missingForRegistry()
if (missing !== undefined) console.log(`skipped: images of a real registry: ${missing}`)

const signal = new AbortController().signal
const amd64 = parsePlatform('linux/amd64')
const quick = { retries: 1, backoffMs: 5, stallMs: 5_000 }
const layers = [randomBytes(2_000_000), Buffer.alloc(10_240), randomBytes(300_000)]

describe.skipIf(missing !== undefined)('a real registry', () => {
  let server: TestRegistry
  let folder: string

  beforeAll(async () => {
    server = await TestRegistry.start()
    folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  })
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true })
    await server?.[Symbol.asyncDispose]()
  })

  const fetchAll = async (source: ImageSource, into: string) => {
    mkdirSync(join(folder, into))
    const jobs = source.layers.map(async (layer, at) => {
      const file = join(folder, into, String(at))
      const compression = await source.fetchLayer(layer, file, { signal })
      const bytes = readFileSync(file)
      const tar = UNPACK[compression](bytes)
      return { tar, compression, diffId: `sha256:${createHash('sha256').update(tar).digest('hex')}` }
    })
    return Promise.all(jobs)
  }

  test.each([
    ['gzip', 'oci'],
    ['zstd', 'oci'],
    ['none', 'oci'],
    ['gzip', 'docker'],
  ] as const)('gives an image with layers of %s in the format %s, byte by byte', async (compression, format) => {
    const env = ['PATH=/bin:/usr/bin', 'A=b=c', 'EMPTY=']
    const config = { Env: env, Entrypoint: ['/init'], Cmd: ['a', 'b'], WorkingDir: 'work', User: '1000:1000' }
    using image = new TestImage({ layers, compression, config })
    const reference = await server.push(image.folder, image.tag, `made/${compression}-${format}:1`, format)
    using registry = openRegistry(quick)
    await using source = await registry.resolve(reference, amd64, signal)
    expect(source.name).toBe(reference)
    expect(source.configDigest).toBe(`sha256:${createHash('sha256').update(source.config).digest('hex')}`)
    expect(source.parsed.defaults).toEqual({
      env: { PATH: '/bin:/usr/bin', A: 'b=c', EMPTY: '' },
      workdir: '/work',
      user: '1000:1000',
      command: ['/init', 'a', 'b'],
    })
    const fetched = await fetchAll(source, `${compression}-${format}`)
    expect(
      fetched.map(({ tar }) => Buffer.compare(tar, layers[fetched.findIndex((one) => one.tar === tar)] ?? tar)),
    ).toEqual([0, 0, 0])
    expect(fetched.map(({ diffId }) => diffId)).toEqual(source.layers.map(({ diffId }) => diffId))
    expect(fetched.every((one) => one.compression === compression)).toBe(true)
  })

  test('agrees with skopeo on what an image is', async () => {
    using image = new TestImage({ layers, platforms: [hostPlatform()], config: { Env: ['X=1'], Cmd: ['sh'] } })
    const reference = await server.push(image.folder, image.tag, 'oracle:1')
    using registry = openRegistry(quick)
    await using source = await registry.resolve(reference, hostPlatform(), signal)
    const said = JSON.parse(await server.skopeo('inspect', '--tls-verify=false', `docker://${reference}`)) as {
      readonly Layers: readonly string[]
      readonly Env: readonly string[]
      readonly Architecture: string
    }
    expect(source.layers.map(({ digest }) => digest)).toEqual(said.Layers)
    expect(source.parsed.defaults.env).toEqual({ X: '1' })
    expect(said.Env).toEqual(['X=1'])
    expect(source.parsed.platform.architecture).toBe(said.Architecture)
    expect(source.configDigest).toBe(image.configDigest)
  })

  test.each(['oci', 'docker'] as const)('has one image for each platform in an index of %s', async (format) => {
    const platforms = ['linux/amd64', 'linux/arm/v6', 'linux/arm/v7', 'linux/arm64'].map(parsePlatform)
    using image = new TestImage({ layers: layers.slice(1, 2), platforms })
    const reference = await server.push(image.folder, image.tag, `many-${format}:1`, format)
    using registry = openRegistry(quick)
    for (const platform of [...platforms, parsePlatform('linux/arm64/v8')]) {
      await using source = await registry.resolve(reference, platform, signal)
      expect(source.parsed.platform).toEqual(platform)
    }
    await expect(registry.resolve(reference, parsePlatform('linux/riscv64'), signal)).rejects.toMatchObject({
      code: 'unsupported',
      message: 'the image is not for linux/riscv64, but for linux/amd64, linux/arm/v6, linux/arm, linux/arm64',
    })
  })

  test('says so when an image is only for another architecture', async () => {
    using image = new TestImage({ layers: layers.slice(1, 2), platforms: [parsePlatform('linux/s390x')] })
    const reference = await server.push(image.folder, image.tag, 'other:1')
    using registry = openRegistry(quick)
    await expect(registry.resolve(reference, amd64, signal)).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('for linux/s390x') as string,
    })
  })

  test('finds by digest, and says what is not there', async () => {
    using image = new TestImage({ layers: layers.slice(1, 2) })
    const reference = await server.push(image.folder, image.tag, 'by/digest:1')
    const raw = await server.skopeo('inspect', '--raw', '--tls-verify=false', `docker://${reference}`)
    const digest = `sha256:${createHash('sha256').update(raw).digest('hex')}`
    using registry = openRegistry(quick)
    await using source = await registry.resolve(`${server.host}/by/digest@${digest}`, amd64, signal)
    expect(source.configDigest).toBe(image.configDigest)
    for (const name of ['by/digest:2', 'nothing', `by/digest@sha256:${'0'.repeat(64)}`]) {
      await expect(registry.resolve(`${server.host}/${name}`, amd64, signal)).rejects.toMatchObject({
        code: 'image-not-found',
      })
    }
  })

  test('that has lost bytes of a layer, or changed them, is not believed', async () => {
    using image = new TestImage({ layers: [randomBytes(100_000), randomBytes(100_001)], compression: 'none' })
    const reference = await server.push(image.folder, image.tag, 'damaged:1')
    const [first = '', second = ''] = image.layerDigests
    truncateSync(server.blob(first), 50_000)
    const bytes = readFileSync(server.blob(second))
    bytes[70_000] = (bytes[70_000] ?? 0) ^ 1
    writeFileSync(server.blob(second), bytes)
    using registry = openRegistry(quick)
    await using source = await registry.resolve(reference, amd64, signal)
    for (const [at, layer] of source.layers.entries()) {
      const file = join(folder, `damaged-${at}`)
      await expect(source.fetchLayer(layer, file, { signal })).rejects.toMatchObject({ code: 'image-invalid' })
      expect(existsSync(file)).toBe(false)
    }
    expect(existsSync(join(folder, 'damaged-1.part'))).toBe(false)
  })

  test('is asked only for what is missing of a layer', async () => {
    using image = new TestImage({ layers: [randomBytes(500_000)], compression: 'none' })
    const reference = await server.push(image.folder, image.tag, 'resumed:1')
    using registry = openRegistry(quick)
    await using source = await registry.resolve(reference, amd64, signal)
    const [layer] = source.layers
    if (layer === undefined) throw new Error('no layer')
    const whole = readFileSync(image.blob(layer.digest))
    const file = join(folder, 'resumed')
    writeFileSync(`${file}.part`, whole.subarray(0, 400_000))
    const seen: number[] = []
    await source.fetchLayer(layer, file, { signal, onBytes: (bytes) => seen.push(bytes) })
    expect(readFileSync(file).equals(whole)).toBe(true)
    expect(seen[0]).toBe(400_000)
    expect(seen.at(-1)).toBe(500_000)
    // What is there may also be wrong.
    writeFileSync(`${file}2.part`, randomBytes(400_000))
    await source.fetchLayer(layer, `${file}2`, { signal })
    expect(readFileSync(`${file}2`).equals(whole)).toBe(true)
  })

  test('is asked after its mirrors, and when one of them is down, lacks the image, or lies', async () => {
    await using mirror = await TestRegistry.start()
    using image = new TestImage({ layers: layers.slice(0, 1), tag: 'm' })
    await mirror.push(image.folder, 'm', 'copies/made/here:1')
    const mirrors = {
      [server.host]: ['http://127.0.0.1:9', `${mirror.host}/copies`],
      'docker.io': [`http://${mirror.host}/copies`],
    }
    using registry = openRegistry({ ...quick, mirrors })
    // Only the mirror has it.
    await using source = await registry.resolve(`${server.host}/made/here:1`, amd64, signal)
    await source.fetchLayer(source.layers[0] ?? bad(), join(folder, 'of-mirror'), { signal })
    // Only the registry has it.
    const reference = await server.push(image.folder, 'm', 'made/there:1')
    await using other = await registry.resolve(reference, amd64, signal)
    expect(other.configDigest).toBe(source.configDigest)
    // The mirror has lost a layer's bytes; the registry has them.
    await server.push(image.folder, 'm', 'made/here:1')
    truncateSync(mirror.blob(image.layerDigests[0] ?? ''), 10)
    await using again = await registry.resolve(`${server.host}/made/here:1`, amd64, signal)
    await again.fetchLayer(again.layers[0] ?? bad(), join(folder, 'of-both'), { signal })
    expect(readFileSync(join(folder, 'of-both')).length).toBe(again.layers[0]?.size)
  })

  test('that asks for a password gets it from the options, the file, or a helper', async () => {
    const basic = { username: 'ann', password: 'p:ä "x"' }
    await using locked = await TestRegistry.start({ basic })
    using image = new TestImage({ layers: layers.slice(1, 2) })
    const reference = await locked.push(image.folder, image.tag, 'secret:1')
    const docker = (name: string, value: object): string => {
      const file = join(folder, `${name}.json`)
      writeFileSync(file, JSON.stringify(value))
      return file
    }
    writeFileSync(
      join(folder, 'docker-credential-test'),
      `#!/bin/sh\nread -r server\n[ "$server" = '${locked.host}' ] || { echo credentials not found in native keychain; exit 1; }\n` +
        `cat <<'E'\n${JSON.stringify({ ServerURL: locked.host, Username: 'ann', Secret: basic.password })}\nE\n`,
    )
    chmodSync(join(folder, 'docker-credential-test'), 0o755)
    const helperFolders = [folder]
    const ways = [
      { credentials: { [locked.host]: { kind: 'basic', ...basic } } },
      { dockerConfig: docker('auths', { auths: { [`http://${locked.host}/v2/`]: { auth: auth(basic.password) } } }) },
      { dockerConfig: docker('helper', { credHelpers: { [locked.host]: 'test' } }), helperFolders },
      { dockerConfig: docker('store', { credsStore: 'test' }), helperFolders },
    ] as const
    for (const way of ways) {
      using registry = openRegistry({ ...quick, ...way })
      await using source = await registry.resolve(reference, amd64, signal)
      await source.fetchLayer(source.layers[0] ?? bad(), join(folder, `secret-${ways.indexOf(way)}`), { signal })
    }
    const wrong = [
      [{}, /without a login/],
      [
        { dockerConfig: docker('wrong', { auths: { [locked.host]: { auth: auth('x') } } }) },
        /does not let Cove in with the login/,
      ],
      [{ dockerConfig: docker('lost', { credsStore: 'lost' }), helperFolders }, /docker-credential-lost is in none of/],
      [{ dockerConfig: docker('evil', { credsStore: '../test' }), helperFolders }, /is not a name/],
      [{ dockerConfig: docker('list', []) }, /is not an object/],
    ] as const
    for (const [way, message] of wrong) {
      using registry = openRegistry({ ...quick, ...way })
      const failed = registry.resolve(reference, amd64, signal)
      await expect(failed).rejects.toMatchObject({
        code: 'unauthenticated',
        message: expect.stringMatching(message) as string,
        fix: expect.stringContaining(`docker login ${locked.host}`) as string,
      })
    }
  })
})

const UNPACK = {
  none: (bytes: Buffer): Buffer => bytes,
  gzip: (bytes: Buffer): Buffer => gunzipSync(bytes),
  // All frames, of which Node's own function reads the first.
  zstd: (bytes: Buffer): Buffer => execFileSync('zstd', ['-dc'], { input: bytes, maxBuffer: 64 * 1024 * 1024 }),
}

function auth(password: string): string {
  return Buffer.from(`ann:${password}`).toString('base64')
}

function bad(): never {
  throw new Error('the image has no layer')
}
