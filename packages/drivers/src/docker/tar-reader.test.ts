import { describe, expect, it } from 'vitest'
import { CoveError } from '@cove/domain'
import * as fc from 'fast-check'
import { tarFile } from '../../test/support/oci-archive.ts'
import { TarReader } from './tar-reader.ts'

const END = Buffer.alloc(1024)

function archive(...parts: readonly (readonly Uint8Array[])[]): Buffer {
  return Buffer.concat([...parts.flat(), END])
}

/** An entry of another type, with the checksum that goes with it. */
function typed(type: string, name: string, content: string): readonly Uint8Array[] {
  const [header = new Uint8Array(), ...rest] = tarFile(name, Buffer.from(content))
  const changed = Buffer.from(header)
  changed.write(type, 156)
  changed.write('        ', 148)
  const sum = changed.reduce((total, byte) => total + byte, 0)
  changed.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return [changed, ...rest]
}

const pax = (text: string): string => {
  const length = text.length + 3
  return `${length < 100 ? length + 1 : length + 2} ${text}\n`
}

async function* cut(bytes: Uint8Array, size: number): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size))
}

async function read(bytes: Uint8Array, size = 700): Promise<readonly (readonly [string, string])[]> {
  const found: (readonly [string, string])[] = []
  for await (const entry of new TarReader(cut(bytes, size))) {
    found.push([entry.name, Buffer.concat(await Array.fromAsync(entry.content())).toString()])
  }
  return found
}

describe('a tar archive', () => {
  const plain = archive(
    tarFile('a', Buffer.from('one')),
    tarFile('b/c', Buffer.alloc(0)),
    tarFile('d', Buffer.from('x')),
  )

  it('is read however it is cut', async () => {
    const files = [
      ['a', 'one'],
      ['b/c', ''],
      ['d', 'x'],
    ]
    for (const size of [1, 511, 512, 513, 100_000]) expect(await read(plain, size)).toEqual(files)
  })

  it('may have its content left unread', async () => {
    const names: string[] = []
    for await (const { name } of new TarReader(cut(plain, 100))) names.push(name)
    expect(names).toEqual(['a', 'b/c', 'd'])
  })

  it('may have names and sizes that do not fit its headers', async () => {
    const long = 'n'.repeat(200)
    const gnu = archive(typed('L', '././@LongLink', `${long}\0`), tarFile('short', Buffer.from('1')))
    expect(await read(gnu)).toEqual([[long, '1']])
    const posix = archive(typed('x', 'pax', pax('path=other') + pax('size=3')), tarFile('short', Buffer.from('abc')))
    expect(await read(posix)).toEqual([['other', 'abc']])
  })

  it.each([
    ['ends in a header', plain.subarray(0, 300)],
    ['ends in a file', plain.subarray(0, 514)],
    ['has a wrong checksum', Buffer.concat([Buffer.from('x'), plain.subarray(1)])],
    ['describes a file at too much length', archive(typed('L', 'l', 'x'.repeat(70_000)))],
    ['has attributes that are none', archive(typed('x', 'pax', '9999 path=a\n'), tarFile('a', Buffer.alloc(0)))],
    ['has a size that is none', archive(typed('x', 'pax', pax('size=-1')), tarFile('a', Buffer.alloc(0)))],
  ])('is refused when it %s', async (_, bytes) => {
    await expect(read(bytes)).rejects.toMatchObject({ code: 'image-invalid' })
  })

  it('of any bytes is read or refused', async () => {
    const changed = fc.tuple(fc.nat(plain.length - 1), fc.integer({ min: 0, max: 255 }))
    await fc.assert(
      fc.asyncProperty(fc.array(changed, { maxLength: 8 }), fc.nat(plain.length), async (changes, length) => {
        const bytes = Buffer.from(plain.subarray(0, length))
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
        const refusal = await read(bytes).catch((error: unknown) => error)
        expect(Array.isArray(refusal) || refusal instanceof CoveError).toBe(true)
      }),
    )
  })
})
