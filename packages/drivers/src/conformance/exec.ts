import { describe, expect, it } from 'vitest'
import type { Stage } from './stage.ts'

export function execChapter(stage: Stage): void {
  describe('exec', () => {
    it('runs a command and tells its output and its exit code', async () => {
      const link = await stage.link(await stage.create())
      const result = await stage.shell(link, 'echo out; echo err >&2; exit 7')
      expect(result).toEqual({ exit: { kind: 'exited', code: 7 }, stdout: 'out\n', stderr: 'err\n' })
    })

    it('tells a signal as a signal', async () => {
      const link = await stage.link(await stage.create())
      expect((await stage.shell(link, 'kill -9 $$')).exit).toEqual({ kind: 'signaled', signal: 9 })
    })

    it('runs as every user that the machine has', async () => {
      const link = await stage.link(await stage.create())
      const ids: string[] = []
      for (const user of stage.rig.traits.users) ids.push((await stage.run(link, ['id', '-u'], user)).stdout)
      expect(new Set(ids).size).toBe(stage.rig.traits.users.length)
    })

    it('starts in the home of the user and can write there', async () => {
      const link = await stage.link(await stage.create())
      const home = (await stage.run(link, ['pwd'])).stdout.trim()
      expect(home.startsWith('/')).toBe(true)
      const written = await link.writeFile(`${home}/note`, oneChunk('content'))
      expect(written.size).toBe(7)
      const { content } = await link.readFile(`${home}/note`)
      expect(Buffer.concat(await Array.fromAsync(content)).toString()).toBe('content')
    })

    it('keeps the files of machines apart', async (context) => {
      if (!stage.rig.traits.ownFiles) context.skip('this driver has no wall between files')
      const [a, b] = await Promise.all([stage.link(await stage.create()), stage.link(await stage.create())])
      for (const path of ['/tmp/mine', '/home/user/mine']) {
        await a.writeFile(path, oneChunk('a'))
        await expect(b.stat(path)).rejects.toMatchObject({ code: 'file-not-found' })
      }
    })
  })
}

async function* oneChunk(text: string): AsyncIterable<Uint8Array> {
  yield await Promise.resolve(Buffer.from(text))
}
