import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseDefinition, readDefinition } from './read-definition.ts'

const PATH = '/shop/cove.template.yaml'
const read = (text: string) => parseDefinition(text, PATH)

describe('a cove.template.yaml', () => {
  it('says everything that a template can be', () => {
    const { template, ...rest } = read(`
name: shop:1.0
description: a shop
source: oci:alpine:3.20
network: internet
steps:
  - run: apk add python3
  - copy: src:/app
    owner: 1000:1001
    ignore: ['*.pyc']
  - env: { DEBUG: 1, NO: no }
  - workdir: /app
  - user: '1000'
start:
  command: [python3, -m, http.server]
  ready: { port: 8000, timeout: 30s }
limits: { memory: 512MiB, cpus: 0.5 }
build:
  driver: crun
  limits: { disk: 1GiB }
`)
    expect(rest).toEqual({ steps: 6, name: 'shop:1.0', driver: 'crun', buildLimits: { diskBytes: 2 ** 30 } })
    expect(template.parts).toEqual({
      source: 'oci:alpine:3.20',
      description: 'a shop',
      network: 'internet',
      steps: [
        { kind: 'run', command: 'apk add python3' },
        { kind: 'copy', from: 'src', to: '/app', options: { uid: 1000, gid: 1001, ignore: ['*.pyc'] } },
        { kind: 'env', env: { DEBUG: '1', NO: 'no' } },
        { kind: 'workdir', path: '/app' },
        { kind: 'user', user: '1000' },
      ],
      start: { argv: ['python3', '-m', 'http.server'], ready: { port: 8000, timeoutMs: 30_000 } },
      limits: { memoryBytes: 2 ** 29, cpus: 0.5 },
    })
  })

  it('may have a command as a text for the shell', () => {
    expect(
      read('source: host\nstart: { command: serve -v, ready: { command: test -e /up } }').template.parts.start,
    ).toEqual({
      argv: ['/bin/sh', '-c', 'serve -v'],
      ready: { command: 'test -e /up' },
    })
  })

  it.each([
    ['', 'source is missing'],
    ['source: host\nstep: []', 'step is no setting (did you mean steps?)'],
    ['source: host\nsteps: [{ rum: x }]', ':2: steps[0].rum is no setting (did you mean run?)'],
    ['source: host\nsteps: [{}]', 'steps[0] must say exactly one of'],
    ['source: host\nsteps: [{ run: a, env: { A: b } }]', 'steps[0] must say exactly one of'],
    ['source: host\nsteps: [{ run: a, owner: 1 }]', 'must be <uid>'],
    ["source: host\nsteps: [{ run: a, owner: '1' }]", 'belong to copy'],
    ['source: host\nsteps: [{ copy: src }]', 'must be <path>:<target>'],
    ['source: host\nsteps: [{ copy: ":/app" }]', 'must be <path>:<target>'],
    ['source: host\nsteps: nothing', 'steps must be a list'],
    ['source: host\nname: Shop', 'name must be a to z'],
    ['source: host\nstart: {}', 'start.command is missing'],
    ['source: host\nstart: { command: a, ready: {} }', 'exactly one of port and command'],
    ['source: host\nstart: { command: a, ready: { port: 1, command: b } }', 'exactly one of port and command'],
    ['source: host\nstart: { command: [] }', 'start.command must be a command'],
    ['source: host\nlimits: { memory: much }', 'a size such as 512MiB'],
    ['source: [', ':1:'],
  ])('that says %j is refused', (text, problem) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'config-invalid' }))
    expect(() => read(text)).toThrow(problem)
  })

  it('of each ready-made template can be read', () => {
    const root = join(import.meta.dirname, '../../../..')
    const paths = globSync('templates/*/cove.template.yaml', { cwd: root })
    expect(paths.length).toBeGreaterThanOrEqual(4)
    for (const path of paths) expect(readDefinition(join(root, path)).name).toBe(path.split('/')[1])
  })

  it('is described by the schema for editors', () => {
    const schema = readFileSync(
      join(import.meta.dirname, '../../../../docs/reference/cove.template.schema.json'),
      'utf8',
    )
    expect(JSON.parse(schema)).toMatchObject({
      required: ['source'],
      additionalProperties: false,
      properties: { steps: { items: { properties: { run: {}, copy: {}, env: {} }, additionalProperties: false } } },
    })
  })
})

describe('files of the node', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    mkdirSync(join(folder, 'project/root'), { recursive: true })
    mkdirSync(join(folder, 'private'))
    symlinkSync(join(folder, 'private'), join(folder, 'project/link'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))
  const sourceOf = (source: string, chosen?: string) =>
    parseDefinition(`source: ${source}`, join(folder, 'project/cove.template.yaml'), chosen).template.parts.source

  it('are a source as far as they lie beside the definition', () => {
    expect(sourceOf('directory:./root')).toBe(`directory:${folder}/project/root`)
    expect(sourceOf(`directory:${folder}/project/root`)).toBe(`directory:${folder}/project/root`)
    expect(sourceOf('oci:alpine')).toBe('oci:alpine')
    expect(sourceOf('my-template:1.0')).toBe('my-template:1.0')
  })

  it.each(['directory:/root', 'directory:./../private', 'tar:/etc/passwd', 'directory:./link', 'directory:/nowhere'])(
    'are none when they lie elsewhere, unless that is said on the command line: %s',
    (source) => {
      expect(() => sourceOf(source)).toThrow(
        expect.objectContaining({ code: 'config-invalid', fix: expect.stringContaining('--source') as string }),
      )
      expect(sourceOf(source, 'directory:/root')).toBe('directory:/root')
    },
  )

  it.each(['oci-layout:./none:latest', 'directory:./rooot'])('are none when they are not there: %s', (source) => {
    expect(() => sourceOf(source)).toThrow(
      expect.objectContaining({ message: expect.stringContaining('not there'), fix: expect.stringContaining('path') }),
    )
  })
})
