import { CoveError } from '@cove/domain'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tarBytes } from '../testing/tar-bytes.ts'
import { ByteReader } from './byte-reader.ts'
import { readTar } from './read-tar.ts'

async function* pieces(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size))
}

async function list(bytes: Buffer, size = 1_000) {
  await using reader = new ByteReader(pieces(bytes, size), new AbortController().signal)
  const found: { name: string; kind: string; link: string; text: string }[] = []
  for await (const { name, kind, linkName, content } of readTar(reader)) {
    let text = ''
    for await (const chunk of content) text += Buffer.from(chunk).toString('latin1')
    found.push({ name, kind, link: linkName, text })
  }
  return found
}

const pax = (name: string, value: string): string => {
  const rest = ` ${name}=${value}\n`
  const length = rest.length + 2
  return `${length + (length > 99 ? 1 : 0)}${rest}`
}

describe('a tar archive', () => {
  it('gives its entries, however it is cut', async () => {
    const bytes = tarBytes([
      { name: 'a', content: 'hello' },
      { name: 'dir/', type: '5' },
      { name: 'dir/b', content: 'x'.repeat(513) },
      { name: 'dir/l', type: '2', linkName: '../a' },
      { name: 'h', type: '1', linkName: 'a' },
    ])
    for (const size of [1, 7, 511, 512, 513, 100_000]) {
      expect(await list(bytes, size)).toEqual([
        { name: 'a', kind: 'file', link: '', text: 'hello' },
        { name: 'dir/', kind: 'other', link: '', text: '' },
        { name: 'dir/b', kind: 'file', link: '', text: 'x'.repeat(513) },
        { name: 'dir/l', kind: 'symlink', link: '../a', text: '' },
        { name: 'h', kind: 'hardlink', link: 'a', text: '' },
      ])
    }
  })

  it('may have long names, by pax or by GNU', async () => {
    const long = `${'n'.repeat(90)}/${'m'.repeat(90)}`
    const bytes = tarBytes([
      { name: 'x', type: 'x', content: pax('path', long) },
      { name: 'short', content: '1' },
      { name: 'x', type: 'L', content: `${long}\0` },
      { name: 'x', type: 'K', content: 'target\0' },
      { name: 'short', type: '2', linkName: 'tar' },
      { name: 'last', content: '2' },
    ])
    expect((await list(bytes)).map(({ name, link }) => [name, link])).toEqual([
      [long, ''],
      [long, 'target'],
      ['last', ''],
    ])
  })

  it.each([
    ['cut in a header', tarBytes([{ name: 'a' }]).subarray(0, 100)],
    ['cut in a file', tarBytes([{ name: 'a', content: 'x'.repeat(2_000) }]).subarray(0, 1_500)],
    ['with a size that is not there', tarBytes([{ name: 'a', size: 10_000_000_000 }])],
    ['of random bytes', Buffer.alloc(2_048, 'garbage ')],
    ['with a header of 2 GiB', tarBytes([{ name: 'a', type: 'x', size: 2 ** 31 }])],
    ['of headers only', tarBytes(Array.from({ length: 20 }, () => ({ name: 'a', type: 'L', content: 'b' })))],
    ['with a broken pax header', tarBytes([{ name: 'a', type: 'x', content: '99 path=b\n' }, { name: 'b' }])],
    ['with a negative pax header', tarBytes([{ name: 'a', type: 'x', content: '-5 path=b\n' }, { name: 'b' }])],
  ])('%s is refused', async (_what, bytes) => {
    await expect(list(bytes)).rejects.toMatchObject({ code: 'image-invalid' })
  })

  it('never does anything but to be read or refused', async () => {
    const good = tarBytes([
      { name: 'a', content: 'hello' },
      { name: 'p', type: 'x', content: pax('path', 'b') },
      { name: 'b', content: 'x'.repeat(600) },
    ])
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(damage, fc.nat(good.length), async (changes, end) => {
        const bytes = Buffer.from(good.subarray(0, end))
        for (const [at, value] of changes) bytes[at % Math.max(1, end)] = value
        const outcome = await list(bytes).catch((error: unknown) => error)
        expect(Array.isArray(outcome) || outcome instanceof CoveError).toBe(true)
      }),
    )
  })
})
