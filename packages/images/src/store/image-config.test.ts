import { describe, expect, it } from 'vitest'
import { parseImageConfig } from '../registry/image-config.ts'
import { baseOf, buildConfig } from './image-config.ts'

const platform = { os: 'linux', architecture: 'arm64' }
const diffId = (digit: string) => `sha256:${digit.repeat(64)}`

describe('the configuration of an image', () => {
  it('grows by a layer, and its history with it', () => {
    const first = buildConfig({ parent: { platform, base: 'scratch' }, layer: { diffId: diffId('1') }, defaults: {} })
    const second = buildConfig({
      parent: first.bytes,
      layer: { diffId: diffId('2') },
      defaults: { env: { A: '1=2' }, command: ['x', 'y'], user: 'u:g', workdir: '/w' },
      comment: 'why',
    })
    expect(parseImageConfig(second.bytes)).toEqual({
      platform,
      diffIds: [diffId('1'), diffId('2')],
      defaults: { env: { A: '1=2' }, command: ['x', 'y'], user: 'u:g', workdir: '/w' },
    })
    const { history, created } = JSON.parse(Buffer.from(second.bytes).toString()) as Record<string, unknown>
    expect(history).toEqual([{ created_by: 'cove' }, { created_by: 'why' }])
    expect(created).toBeUndefined()
    expect(
      buildConfig({ parent: { platform, base: 'scratch' }, layer: { diffId: diffId('1') }, defaults: {} }).id,
    ).toBe(first.id)
  })

  it('keeps what nobody names, and replaces an entry point by a command', () => {
    const text = {
      os: 'linux',
      architecture: 'amd64',
      created: '2020-01-01T00:00:00Z',
      author: 'a',
      config: { Entrypoint: ['/e'], Cmd: ['c'], Env: ['A=1'], ExposedPorts: { '80/tcp': {} } },
      rootfs: { type: 'layers', diff_ids: [diffId('1')] },
      history: [{ created_by: 'x' }, { created_by: 'y', empty_layer: true }],
    }
    const parent = Buffer.from(JSON.stringify(text))
    const same = parseImageConfig(buildConfig({ parent, defaults: { user: 'u' } }).bytes)
    expect(same.defaults).toEqual({ env: { A: '1' }, command: ['/e', 'c'], user: 'u' })
    const other = buildConfig({ parent, defaults: { command: ['z'] } })
    expect(parseImageConfig(other.bytes).defaults.command).toEqual(['z'])
    expect(JSON.parse(Buffer.from(other.bytes).toString())).toMatchObject({
      author: 'a',
      config: { ExposedPorts: { '80/tcp': {} } },
      history: [{}, {}, { empty_layer: true }],
    })
  })

  it('drops a history that does not fit its layers, and bounds one that grows for ever', () => {
    const wrong = { ...platform, rootfs: { type: 'layers', diff_ids: [diffId('1')] }, history: [] }
    const built = buildConfig({ parent: Buffer.from(JSON.stringify(wrong)), defaults: {} })
    expect(JSON.parse(Buffer.from(built.bytes).toString())).not.toHaveProperty('history')
    let { bytes } = buildConfig({ parent: { platform, base: 'scratch' }, layer: { diffId: diffId('1') }, defaults: {} })
    for (let count = 0; count < 600; count++) ({ bytes } = buildConfig({ parent: bytes, defaults: {} }))
    const { history } = JSON.parse(Buffer.from(bytes).toString()) as { history: unknown[] }
    expect(history).toHaveLength(500)
    expect(history[0]).toEqual({ created_by: 'cove' })
  })

  it('says what the image lies over, also for those that are made of it', () => {
    const host = buildConfig({ parent: { platform, base: 'host' }, defaults: {} })
    expect(baseOf(host.bytes)).toBe('host')
    expect(baseOf(buildConfig({ parent: host.bytes, layer: { diffId: diffId('1') }, defaults: {} }).bytes)).toBe('host')
    expect(baseOf(buildConfig({ parent: { platform, base: 'scratch' }, defaults: {} }).bytes)).toBe('scratch')
  })
})
