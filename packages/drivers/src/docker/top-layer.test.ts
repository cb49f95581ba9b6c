import { expect, it } from 'vitest'
import { emptyTar, tarHeader, tarPadding } from './tar-file.ts'
import { topLayer } from './top-layer.ts'

const file = (name: string, text: string, type = '0') => {
  const content = Buffer.from(text)
  return [tarHeader(name, content.length, 0o644, type), content, tarPadding(content.length)]
}
const [low, high] = ['a'.repeat(64), 'b'.repeat(64)]
const diffId = `sha256:${'c'.repeat(64)}`
const EMPTY = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef'

async function top(parts: readonly Uint8Array[][], wanted = diffId): Promise<string> {
  async function* archive() {
    for (const part of [...parts.flat(), emptyTar]) yield await Promise.resolve(part)
  }
  return Buffer.concat(await Array.fromAsync(topLayer(archive(), { mark: 'MARK', diffId: wanted }))).toString()
}

it('is found by its description in archives of older engines', async () => {
  const folder = (name: string, json: string, layer: string) => [
    file(`${name}/`, '', '5'),
    file(`${name}/VERSION`, '1.0'),
    file(`${name}/json`, json),
    file(`${name}/layer.tar`, layer),
  ]
  const parts = [...folder(low, '{"id":"x"}', 'below'), ...folder(high, '{"config":"MARK"}', 'top'), file('z', '')]
  expect(await top(parts)).toBe('top')
})

it('is found by its digest in archives of newer engines', async () => {
  const blob = (digest: string, text: string) => file(`blobs/sha256/${digest}`, text)
  expect(await top([blob(low, 'below'), blob('c'.repeat(64), 'top'), file('manifest.json', '[]')])).toBe('top')
})

it('may be empty, and is an error where it is missing', async () => {
  expect(await top([file('manifest.json', '[]')], EMPTY)).toBe('\0'.repeat(1024))
  await expect(top([file('manifest.json', '[]')])).rejects.toMatchObject({ code: 'driver-failed' })
})
