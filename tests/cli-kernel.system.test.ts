import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openKernels, type KernelInfo } from '@cove/guest-system'
import { installKernel } from '../packages/guest-system/test/support/fake-distribution.ts'
import { runCove } from './support/daemon.ts'

const { signal } = new AbortController()

describe('cove kernel', () => {
  let root: string
  let folder: string
  let older: KernelInfo
  let newer: KernelInfo
  const cove = (...args: readonly string[]) => runCove(args, { env: { COVE_KERNEL_DIR: folder } })

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'cove-test-'))
    folder = join(root, 'kernels')
    const installed = { boot: join(root, 'boot'), modules: join(root, 'modules') }
    const kernels = openKernels({ folder, installed, programFolders: [] })
    installKernel(root, '6.1.0-1-amd64')
    older = await kernels.fetch({ signal })
    installKernel(root, '6.1.0-2-amd64')
    newer = await kernels.fetch({ signal })
  })
  afterAll(() => rmSync(root, { recursive: true }))

  it('lists what is there, and which one is booted', async () => {
    const { stdout, status } = await cove('kernel', 'ls')
    expect(status).toBe(0)
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^ID +VERSION +ORIGIN +SIZE +AGE +STATE +SOURCE$/),
      expect.stringMatching(
        new RegExp(`^${newer.id.slice(0, 12)} +6\\.1\\.0-2-amd64 +distribution .* current .*vmlinuz`),
      ),
      expect.stringMatching(new RegExp(`^${older.id.slice(0, 12)} +6\\.1\\.0-1-amd64 +distribution .* - `)),
      '',
    ])
    expect(JSON.parse((await cove('kernel', 'ls', '--json')).stdout)).toEqual([newer, { ...older, current: false }])
    const elsewhere = await cove('kernel', 'ls', '-q', '--kernel-dir', join(root, 'nothing'))
    expect(elsewhere).toMatchObject({ status: 0, stdout: '' })
  })

  it('completes their names', async () => {
    const { stdout } = await cove('__complete', 'fish', 'kernel', 'rm', newer.id.slice(0, 3))
    expect(stdout).toContain(newer.id.slice(0, 12))
  })

  it('removes those that are named, and tells of the others', async () => {
    const unknown = await cove('kernel', 'rm', 'abcdef', older.id.slice(0, 12))
    expect(unknown).toMatchObject({ status: 1, stdout: `${older.id.slice(0, 12)}\n` })
    expect(unknown.stderr).toContain('fix: List the kernels with `cove kernel ls`')
    expect((await cove('kernel', 'ls', '-q')).stdout).toBe(`${newer.id.slice(0, 12)}\n`)
    expect((await cove('kernel', 'rm', newer.id)).status).toBe(0)
    expect(readdirSync(join(folder, 'kernels'))).toEqual([])
  })

  it('says what to do where kernels cannot be kept', async () => {
    const file = join(root, 'file')
    writeFileSync(file, '')
    for (const command of ['build', 'fetch']) {
      const refused = await cove('kernel', command, '--kernel-dir', file)
      expect(refused.status).toBe(1)
      expect(refused.stderr).toContain('COVE_KERNEL_DIR')
    }
    expect(await cove('kernel', 'ls', '--kernel-dir', 'here')).toMatchObject({ status: 1 })
  })
})
