import { describe, expect, it } from 'vitest'
import { chunks, gather, Host, readAll, type GuestHarness, type Traits } from './harness.ts'

/** Everything that can be wrong with a path. */
export function pathStories(make: () => Promise<GuestHarness>, { users }: Traits): void {
  describe('a path', () => {
    it.each([
      ['a NUL', '/tmp/a\0b'],
      ['ten thousand characters', `/${'x/'.repeat(5000)}`],
      ['a name over 255 bytes', `/tmp/${'n'.repeat(256)}`],
      ['no slash at its start', 'tmp/file'],
      ['nothing in it', ''],
      ['half a character', '/tmp/\ud800'],
    ])('with %s is refused everywhere', async (_name, path) => {
      await using host = new Host(await make())
      const link = await host.open()
      const refused = { code: 'path-invalid' }
      await expect(link.readFile(path)).rejects.toMatchObject(refused)
      await expect(link.writeFile(path, chunks('x'))).rejects.toMatchObject(refused)
      await expect(link.stat(path)).rejects.toMatchObject(refused)
      await expect(gather(link.list(path))).rejects.toMatchObject(refused)
      await expect(link.makeDirectory(path)).rejects.toMatchObject(refused)
      await expect(link.move(path, '/tmp/x')).rejects.toMatchObject(refused)
      await expect(link.move('/tmp/x', path)).rejects.toMatchObject(refused)
      await expect(link.remove(path)).rejects.toMatchObject(refused)
      await expect(link.chmod(path, 0o600)).rejects.toMatchObject(refused)
      await expect(link.symlink('x', path)).rejects.toMatchObject(refused)
      await expect(link.watch(path)).rejects.toMatchObject(refused)
      await expect(link.dial({ kind: 'unix', path })).rejects.toMatchObject(refused)
    })

    it('that names the wrong kind of thing is refused', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const { folder } = host.harness
      await link.writeFile(`${folder}/file`, chunks('x'), as)
      await expect(link.readFile(folder, as)).rejects.toMatchObject({ code: 'is-a-directory' })
      await expect(link.writeFile(folder, chunks('x'), as)).rejects.toMatchObject({ code: 'is-a-directory' })
      await expect(gather(link.list(`${folder}/file`, as))).rejects.toMatchObject({ code: 'not-a-directory' })
      await expect(link.stat(`${folder}/file/below`, as)).rejects.toMatchObject({ code: 'not-a-directory' })
      await expect(link.readFile(`${folder}/none`, as)).rejects.toMatchObject({ code: 'file-not-found' })
      await expect(gather(link.list(`${folder}/none`, as))).rejects.toMatchObject({ code: 'file-not-found' })
      await link.symlink('knot', `${folder}/knot`, as)
      await expect(link.readFile(`${folder}/knot`, as)).rejects.toMatchObject({ code: 'symlink-loop' })
      await expect(link.stat(`${folder}/file`, { user: 'nobody-at-all' })).rejects.toMatchObject({
        code: 'user-not-found',
      })
    })

    it('that names a pipe or a device is neither read nor replaced', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      for (const path of [await host.harness.plantPipe(), '/dev/zero']) {
        const refused = { code: 'invalid-argument' }
        await expect(link.readFile(path, as)).rejects.toMatchObject(refused)
        await expect(link.writeFile(path, chunks('x'), as)).rejects.toMatchObject(refused)
        expect((await link.stat(path, as)).type).toBe('other')
      }
    })

    it.runIf(users)('of somebody else is refused', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const stranger = { user: host.harness.stranger }
      const secret = `${host.harness.folder}/secret`
      await link.makeDirectory(secret, { ...as, mode: 0o700 })
      await link.writeFile(`${secret}/file`, chunks('x'), { ...as, mode: 0o600 })
      const refused = { code: 'file-permission-denied' }
      await expect(link.readFile(`${secret}/file`, stranger)).rejects.toMatchObject(refused)
      await expect(link.writeFile(`${secret}/file`, chunks('y'), stranger)).rejects.toMatchObject(refused)
      await expect(link.remove(`${secret}/file`, stranger)).rejects.toMatchObject(refused)
      await expect(link.chmod(secret, 0o777, stranger)).rejects.toMatchObject(refused)
      expect((await readAll((await link.readFile(`${secret}/file`, as)).content)).toString()).toBe('x')
    })
  })
}
