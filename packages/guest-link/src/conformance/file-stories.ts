import { describe, expect, it } from 'vitest'
import type { FileInfo } from '@cove/domain'
import { chunks, gather, Host, readAll, type GuestHarness, type Traits } from './harness.ts'

/** Files and directories in both directions, byte for byte. */
export function fileStories(make: () => Promise<GuestHarness>, { real }: Traits): void {
  describe('a file', () => {
    it.each([
      ['nothing', Buffer.alloc(0)],
      ['one byte', Buffer.from([0])],
      ['every byte there is', Buffer.from(Array.from({ length: 256 }, (_, index) => index))],
      ['what is not UTF-8', Buffer.from('fffe80c3280a', 'hex')],
      ['several frames', Buffer.alloc(1_000_003, 'cove')],
    ])('with %s comes back as it was', async (_name, content) => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const path = `${host.harness.folder}/file`
      const written = await link.writeFile(path, chunks(content), as)
      expect(written).toMatchObject({ name: 'file', path, type: 'file', size: content.length, mode: 0o644 })
      const read = await link.readFile(path, as)
      expect(read.info.size).toBe(content.length)
      expect((await readAll(read.content)).equals(content)).toBe(true)
    })

    it('of a hundred megabytes comes back as it was', { timeout: 30_000 }, async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const path = `${host.harness.folder}/large`
      const block = Buffer.from(Array.from({ length: 65_536 }, (_, index) => (index * 31 + (index >> 8)) & 0xff))
      const rounds = real ? 1526 : 153
      async function* content() {
        for (let round = 0; round < rounds; round += 1) yield await Promise.resolve(block)
      }
      const written = await link.writeFile(path, content(), as)
      expect(written.size).toBe(rounds * block.length)
      let at = 0
      let equal = true
      for await (const part of (await link.readFile(path, as)).content) {
        for (let offset = 0; offset < part.length;) {
          const from = (at + offset) % block.length
          const count = Math.min(block.length - from, part.length - offset)
          equal &&= block.compare(part, offset, offset + count, from, from + count) === 0
          offset += count
        }
        at += part.length
      }
      expect(at).toBe(written.size)
      expect(equal).toBe(true)
    })

    it('is read in part', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const path = `${host.harness.folder}/part`
      await link.writeFile(path, chunks('0123456789'), as)
      const part = async (offset: number, length?: number): Promise<string> => {
        const read = await link.readFile(path, length === undefined ? { ...as, offset } : { ...as, offset, length })
        return (await readAll(read.content)).toString()
      }
      expect(await part(3, 4)).toBe('3456')
      expect(await part(8)).toBe('89')
      expect(await part(8, 100)).toBe('89')
      expect(await part(10)).toBe('')
      expect(await part(99)).toBe('')
    })

    it('is replaced in one step, and keeps its mode', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const path = `${host.harness.folder}/kept`
      await link.writeFile(path, chunks('old'), { ...as, mode: 0o600 })
      const old = await link.readFile(path, as)
      expect((await link.writeFile(path, chunks('newer'), { ...as, mode: 0o644 })).mode).toBe(0o600)
      expect((await readAll(old.content)).toString()).toBe('old')
      expect((await readAll((await link.readFile(path, as)).content)).toString()).toBe('newer')
    })

    it('is written through a link, which stays', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const { folder } = host.harness
      await link.writeFile(`${folder}/real`, chunks('old'), as)
      await link.symlink('real', `${folder}/link`, as)
      await link.writeFile(`${folder}/link`, chunks('new'), as)
      expect((await link.stat(`${folder}/link`, as)).type).toBe('symlink')
      expect((await readAll((await link.readFile(`${folder}/real`, as)).content)).toString()).toBe('new')
    })

    it('is not changed by a write that breaks off, and nothing is left of it', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const { folder } = host.harness
      await link.writeFile(`${folder}/file`, chunks('old'), as)
      await expect(link.writeFile(`${folder}/file`, broken(), as)).rejects.toThrow('the client went away')
      const caller = new AbortController()
      async function* cancelled() {
        yield await Promise.resolve(Buffer.alloc(1000))
        caller.abort()
        yield Buffer.alloc(1000)
      }
      await expect(link.writeFile(`${folder}/file`, cancelled(), as, caller.signal)).rejects.toMatchObject({
        code: 'cancelled',
      })
      expect((await readAll((await link.readFile(`${folder}/file`, as)).content)).toString()).toBe('old')
      expect((await gather(link.list(folder, as))).map((file) => file.name)).toEqual(['file'])
    })

    it('makes its parents only when that is asked for', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const path = `${host.harness.folder}/a/b/c`
      await expect(link.writeFile(path, chunks('x'), { ...as, parents: false })).rejects.toMatchObject({
        code: 'file-not-found',
      })
      await link.writeFile(path, chunks('x'), as)
      expect(await link.stat(`${host.harness.folder}/a/b`, as)).toMatchObject({ type: 'directory' })
    })

    it('can be left in the middle', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const path = `${host.harness.folder}/long`
      await link.writeFile(path, chunks(Buffer.alloc(5_000_000)), as)
      for await (const part of (await link.readFile(path, as)).content) if (part.length > 0) break
      expect((await link.stat(path, as)).size).toBe(5_000_000)
    })

    it('is told with what it is', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const { folder } = host.harness
      await link.writeFile(`${folder}/file`, chunks('12345'), { ...as, mode: 0o640 })
      await link.symlink('file', `${folder}/link`, as)
      expect(await link.stat(`${folder}/file`, as)).toMatchObject({ name: 'file', type: 'file', size: 5, mode: 0o640 })
      expect(await link.stat(`${folder}/link`, as)).toMatchObject({ type: 'symlink', symlinkTarget: 'file' })
      expect(await link.stat(folder, as)).toMatchObject({ type: 'directory', path: folder })
      const age = Date.now() - (await link.stat(`${folder}/file`, as)).modifiedAt
      expect(Math.abs(age)).toBeLessThan(60_000)
    })

    it('is moved, removed and given another mode', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const { folder } = host.harness
      await link.writeFile(`${folder}/a`, chunks('a'), as)
      await link.move(`${folder}/a`, `${folder}/b`, as)
      await expect(link.stat(`${folder}/a`, as)).rejects.toMatchObject({ code: 'file-not-found' })
      await link.chmod(`${folder}/b`, 0o4751, as)
      expect((await link.stat(`${folder}/b`, as)).mode).toBe(0o4751)
      await link.remove(`${folder}/b`, as)
      await expect(link.remove(`${folder}/b`, as)).rejects.toMatchObject({ code: 'file-not-found' })
      await link.remove(`${folder}/b`, { ...as, force: true })
    })
  })

  describe('a directory', () => {
    it('is listed to any depth, links not followed', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const { folder } = host.harness
      await link.makeDirectory(`${folder}/one/two/three`, { ...as, parents: true })
      await link.writeFile(`${folder}/one/file`, chunks('x'), as)
      await link.symlink('one', `${folder}/loop`, as)
      const paths = async (depth?: number): Promise<string[]> =>
        (await gather(link.list(folder, depth === undefined ? as : { ...as, depth })))
          .map((file) => file.path)
          .toSorted()
      expect(await paths()).toEqual(['loop', 'one'])
      expect(await paths(2)).toEqual(['loop', 'one', 'one/file', 'one/two'])
      expect(await paths(64)).toEqual(['loop', 'one', 'one/file', 'one/two', 'one/two/three'])
    })

    it('tells names that are not UTF-8 by their bytes', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const name = Buffer.from('bad\xff\xfename', 'latin1')
      await host.harness.plantFile(name)
      await host.harness.plantFile(Buffer.from('grün €'))
      const found = new Map<string, FileInfo>()
      for await (const file of link.list(host.harness.folder, as)) found.set(file.name, file)
      expect(found.get('grün €')?.rawPath).toBeUndefined()
      const odd = found.get('bad\ufffd\ufffdname')
      expect(Buffer.from(odd?.rawPath ?? []).equals(name)).toBe(true)
    })

    it('of thousands of files is listed whole, and the listing can be left', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const count = real ? 3000 : 2000
      for (let index = 0; index < count; index += 1) await host.harness.plantFile(Buffer.from(`file-${index}`))
      const names = new Set<string>()
      for await (const file of link.list(host.harness.folder, as)) names.add(file.name)
      expect(names.size).toBe(count)
      for await (const file of link.list(host.harness.folder, as)) if (file.name !== '') break
      expect((await link.stat(host.harness.folder, as)).type).toBe('directory')
    })

    it('is made once, or with its parents as often as one likes', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const path = `${host.harness.folder}/made`
      await link.makeDirectory(path, { ...as, mode: 0o700 })
      expect(await link.stat(path, as)).toMatchObject({ type: 'directory', mode: 0o700 })
      await expect(link.makeDirectory(path, as)).rejects.toMatchObject({ code: 'file-exists' })
      await link.makeDirectory(path, { ...as, parents: true })
      await expect(link.makeDirectory(`${path}/x/y`, as)).rejects.toMatchObject({ code: 'file-not-found' })
    })

    it('is removed with what is in it only when that is asked for', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const { folder } = host.harness
      await link.writeFile(`${folder}/full/file`, chunks('x'), as)
      await link.makeDirectory(`${folder}/outside`, as)
      await link.writeFile(`${folder}/outside/precious`, chunks('x'), as)
      await link.symlink(`${folder}/outside`, `${folder}/full/link`, as)
      await expect(link.remove(`${folder}/full`, as)).rejects.toMatchObject({ code: 'directory-not-empty' })
      await link.remove(`${folder}/full`, { ...as, recursive: true })
      expect((await link.stat(`${folder}/outside/precious`, as)).type).toBe('file')
    })
  })
}

async function* broken(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.alloc(200_000))
  throw new Error('the client went away')
}
