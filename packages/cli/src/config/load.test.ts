import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from './load.ts'

describe('configuration', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-config-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))
  const file = (text: string): string => {
    const path = join(folder, 'config.yaml')
    writeFileSync(path, text)
    return path
  }

  it('takes flags over environment over file over defaults, and knows which', async () => {
    const config = await loadConfig({
      env: { COVE_IDLE_TIMEOUT: '5m', COVE_LISTEN: '127.0.0.1:1' },
      flags: { listen: '127.0.0.1:2' },
      file: file('listen: 127.0.0.1:3\nidleTimeout: 9m\nmaxSandboxes: 7\n'),
    })
    expect(config.settings).toMatchObject({
      listen: { host: '127.0.0.1', port: 2 },
      idleTimeout: 300_000,
      maxSandboxes: 7,
      logLevel: 'info',
    })
    const sources = Object.fromEntries(Object.entries(config.origins).map(([name, origin]) => [name, origin.source]))
    expect(sources).toMatchObject({
      listen: 'flag',
      idleTimeout: 'environment',
      maxSandboxes: 'file',
      logLevel: 'default',
    })
  })

  it('tells every wrong value at once, with its place, and falls back to none', async () => {
    const wrong = loadConfig({
      env: { COVE_MAX_SANDBOXES: '-3', COVE_DRIVER: 'vmm' },
      flags: { listen: 'localhost' },
      file: file('idleTimeout: soon\n'),
    })
    await expect(wrong).rejects.toMatchObject({ code: 'config-invalid' })
    for (const place of [
      '--listen: "localhost" is not an address',
      'idleTimeout: duration "soon"',
      'COVE_MAX_SANDBOXES: "-3"',
      'COVE_DRIVER: "vmm" is not one of auto, firecracker, qemu, gvisor, crun, runc, containerd, docker, bubblewrap, native',
    ]) {
      await expect(wrong).rejects.toThrow(place)
    }
  })

  it('refuses names that it does not know and guesses what was meant', async () => {
    await expect(loadConfig({ env: { COVE_LISTN: 'x' }, flags: {} })).rejects.toThrow('did you mean COVE_LISTEN?')
    await expect(loadConfig({ env: {}, flags: {}, file: file('idletimeout: 5m') })).rejects.toThrow(
      'did you mean idleTimeout?',
    )
  })

  it('refuses a file that was named and is not there, but takes an empty one', async () => {
    await expect(loadConfig({ env: {}, flags: {}, file: join(folder, 'nowhere.yaml') })).rejects.toThrow('ENOENT')
    const config = await loadConfig({ env: {}, flags: {}, file: file('# nothing\n') })
    expect(config.settings.listen).toEqual({ host: '127.0.0.1', port: 8080 })
  })

  it.each(['- a\n- b\n', 'listen: [', 'listen: {a: 1}\n'])(
    'refuses a file that is no list of settings: %j',
    async (text) => {
      await expect(loadConfig({ env: {}, flags: {}, file: file(text) })).rejects.toMatchObject({
        code: 'config-invalid',
      })
    },
  )

  it.each([
    ['listen', '[::1]:8080', { host: '::1', port: 8080 }],
    ['dataDir', '/x/y/', '/x/y'],
    ['lifetime', 'never', 'never'],
    ['allowedHosts', 'a.example, b.example', ['a.example', 'b.example']],
    ['allowNative', 'true', true],
  ] as const)('reads %s %s', async (name, text, value) => {
    const config = await loadConfig({ env: {}, flags: { [name]: text }, file: file('') })
    expect(config.settings[name]).toEqual(value)
  })
})
