import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClient } from '@connectrpc/connect'
import { TemplateService } from '@cove/api'
import { imageNamed } from '../../../test/support/stub-facets.ts'
import { transport } from '../../../test/support/clients.ts'
import { codeOf } from '../../../test/support/code-of.ts'
import { KEY, OTHER_KEY, openHouse, type House } from '../../../test/support/harness.ts'

let house: House
let base: string

beforeAll(async () => {
  house = await openHouse()
  base = await house.listen()
})
afterAll(() => house[Symbol.asyncDispose]())

const archive = Buffer.from('an archive of any content')
const digest = `sha256:${createHash('sha256').update(archive).digest('hex')}`

function ask(path: string, init: Omit<RequestInit, 'headers'> = {}, key = KEY): Promise<Response> {
  return fetch(`${base}${path}`, { ...init, headers: { authorization: `Bearer ${key}` } })
}

const client = (key = KEY) => createClient(TemplateService, transport(base, 'connect over http/1.1', key))

describe('build contexts over plain HTTP', () => {
  it('are sent once, and HEAD says whether they are there', async () => {
    const path = `/v1/template-contexts/${digest}`
    expect((await ask(path, { method: 'HEAD' })).status).toBe(404)
    expect((await ask(path, { method: 'PUT', body: archive })).status).toBe(204)
    expect((await ask(path, { method: 'HEAD' })).status).toBe(200)
    expect(house.node.builds.contexts.get(digest)).toEqual(archive)
  })

  it('are nothing to strangers, and have no other methods', async () => {
    const path = `/v1/template-contexts/${digest}`
    expect((await ask(path, { method: 'PUT', body: archive }, 'wrong')).status).toBe(401)
    expect((await ask(path)).status).toBe(404)
    expect((await ask('/v1/template-contexts', { method: 'PUT', body: archive })).status).toBe(404)
  })
})

describe('a build over the wire', () => {
  it('is begun, followed and described, and its template deleted', async () => {
    const { build } = await client().buildTemplate({
      name: 'web:1.0',
      source: 'host',
      description: 'a server',
      steps: [
        { step: { case: 'run', value: 'make' } },
        { step: { case: 'copy', value: { context: digest, to: 'app', uid: 7 } } },
        { step: { case: 'env', value: { env: { A: 'b' } } } },
        { step: { case: 'workdir', value: 'app' } },
        { step: { case: 'user', value: '1000:1000' } },
      ],
      start: { argv: ['serve'], ready: { port: 80, timeout: { seconds: 5n, nanos: 0 } } },
      limits: { memoryBytes: 1n << 30n },
      driver: 'stub',
      noCache: true,
    })
    expect(house.node.builds.last).toEqual({
      id: build,
      from: { kind: 'host' },
      steps: [
        { kind: 'run', command: 'make' },
        { kind: 'copy', context: digest, to: 'app', owner: { uid: 7, gid: 7 } },
        { kind: 'env', env: { A: 'b' } },
        { kind: 'workdir', path: 'app' },
        { kind: 'user', user: '1000:1000' },
      ],
      network: { kind: 'none' },
      limits: {},
      driver: 'stub',
      noCache: true,
      start: { argv: ['serve'], ready: { kind: 'port', port: 80, timeoutMs: 5_000 } },
    })
    house.node.builds.tell(build, { type: 'step', index: 0, text: 'run make', cached: true })
    house.node.builds.tell(build, { type: 'log', offset: 0, text: 'said' })
    house.node.builds.tell(build, {
      type: 'done',
      image: {
        id: imageNamed('web'),
        source: 'commit',
        platform: { os: 'linux', architecture: 'amd64' },
        base: 'host',
        layers: [{ diffId: 'sha256:0', bytes: 7 }],
        defaults: { env: { A: 'b' }, workdir: '/app', command: [] },
        fetchedAt: 0,
      },
    })
    const events = await Array.fromAsync(client().followBuild({ build }))
    expect(events.map(({ event }) => event)).toMatchObject([
      { case: 'step', value: { index: 0, text: 'run make', cached: true } },
      { case: 'log', value: { offset: 0n, text: 'said' } },
      { case: 'done', value: { name: 'web', tag: '1.0' } },
    ])
    const { template } = await client().getTemplate({ name: 'web:1.0' })
    expect(template).toMatchObject({
      name: 'web',
      tag: '1.0',
      description: 'a server',
      source: 'host',
      drivers: ['stub'],
      image: imageNamed('web'),
      build,
      bytes: 7n,
      env: { A: 'b' },
      workdir: '/app',
      platform: 'linux/amd64',
      limits: { memoryBytes: 1n << 30n },
      start: { argv: ['serve'], ready: { port: 80 } },
      steps: ['run make', 'copy to app', 'env A', 'workdir app', 'user 1000:1000'],
    })
    expect((await client().listTemplates({})).templates.map(({ name, tag }) => [name, tag])).toEqual([
      ['host', ''],
      ['web', '1.0'],
    ])
    expect((await client(OTHER_KEY).listTemplates({})).templates.map(({ name }) => name)).toEqual(['host'])
    await client().deleteTemplate({ name: 'web:1.0' })
    await client().deleteTemplate({ name: 'web:1.0' })
    const gone = client().getTemplate({ name: 'web:1.0' })
    expect(codeOf(await gone.catch((error: unknown) => error))).toBe('template-not-found')
  })

  const fine = { name: 'app', source: 'host' }
  const step = (value: object) => ({ ...fine, steps: [{ step: value }] })
  it.each<[string, object]>([
    ['name', { source: 'host' }],
    ['source', { name: 'app' }],
    ['source', { name: 'app', source: 'Nonsense:x' }],
    ['steps[0]', step({})],
    ['steps[0].run', step({ case: 'run', value: ' ' })],
    ['steps[0].run', step({ case: 'run', value: 'a\0b' })],
    ['steps[0].run', step({ case: 'run', value: 'x'.repeat(70_000) })],
    ['steps[0].copy.context', step({ case: 'copy', value: { context: 'sha256:../..', to: '/' } })],
    ['steps[0].copy.to', step({ case: 'copy', value: { context: digest, to: '' } })],
    ['steps[0].copy.to', step({ case: 'copy', value: { context: digest, to: 'a\0' } })],
    ['steps[0].env', step({ case: 'env', value: { env: { 'A=': 'x' } } })],
    ['steps[0].workdir', step({ case: 'workdir', value: '' })],
    ['steps[0].user', step({ case: 'user', value: 'a b' })],
    ['steps', { ...fine, steps: Array.from({ length: 513 }, () => ({ step: { case: 'run', value: 'true' } })) }],
    ['start.argv', { ...fine, start: { argv: [] } }],
    ['start.ready', { ...fine, start: { argv: ['a'], ready: { port: 1, command: ['b'] } } }],
    ['start.ready.port', { ...fine, start: { argv: ['a'], ready: { port: 70_000 } } }],
    ['start.ready.command', { ...fine, start: { argv: ['a'], ready: {} } }],
    ['limits.memoryBytes', { ...fine, limits: { memoryBytes: 1n } }],
  ])('is refused for a wrong %s', async (field, request) => {
    const failure: unknown = await client()
      .buildTemplate(request)
      .catch((error: unknown) => error)
    expect(['invalid-argument', 'path-invalid', 'template-not-found']).toContain(codeOf(failure))
    expect(String(failure)).toContain(field)
  })
})
