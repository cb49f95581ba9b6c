import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { missingForDockerd, TestDockerd } from './test-dockerd.ts'

const missing = missingForDockerd()

describe.skipIf(missing !== undefined)(
  `a daemon of a test${missing === undefined ? '' : ` (skipped: ${missing})`}`,
  () => {
    it.each<[string, boolean]>([
      ['whose container it has forgotten', false],
      ['whose container has lost its shim', true],
    ])('leaves nothing when it was killed, %s', async (_what, withoutShim) => {
      const daemon = await TestDockerd.start()
      const { folder } = daemon
      let pid = 0
      try {
        using engine = await daemon.open()
        const command = ['sleep', '1000']
        const { id } = await engine.createContainer({ image: TestDockerd.image, network: 'none', command })
        await engine.startContainer(id)
        pid = (await engine.inspectContainer(id)).pid
        await daemon.end('SIGKILL')
        rmSync(join(folder, 'data/containers', id), { recursive: true })
        if (withoutShim) for (const shim of processesIn(folder)) process.kill(shim, 'SIGKILL')
        expect(existsSync(`/proc/${pid}`)).toBe(true)
      } finally {
        await daemon[Symbol.asyncDispose]()
      }
      expect(processesIn(folder)).toEqual([])
      expect(textOf(pid, 'cmdline')).not.toContain('sleep')
      expect(existsSync(folder)).toBe(false)
    })
  },
)

function processesIn(folder: string): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => textOf(pid, 'cmdline').includes(`${folder}/`))
}

function textOf(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}
