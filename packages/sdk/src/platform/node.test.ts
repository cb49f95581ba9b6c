import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readInstallation } from './node.ts'

describe('finding the local Cove', () => {
  let folder: string
  let env: Record<string, string>
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-sdk-'))
    env = { COVE_DATA_DIR: folder }
    writeFileSync(join(folder, 'api-key'), 'cove_local\n')
    writeFileSync(join(folder, 'daemon.json'), '{"url":"http://127.0.0.1:9","pid":1}')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('takes address and key from its files', () => {
    expect(readInstallation(undefined, env)).toEqual({ url: 'http://127.0.0.1:9', apiKey: 'cove_local' })
  })

  it('takes what is said instead of what is found', () => {
    const said = { ...env, COVE_URL: 'http://127.0.0.1:7', COVE_API_KEY: 'cove_said' }
    expect(readInstallation(undefined, said)).toEqual({ url: 'http://127.0.0.1:7', apiKey: 'cove_said' })
    expect(readInstallation('http://localhost:5', env)).toEqual({ url: 'http://localhost:5', apiKey: 'cove_local' })
  })

  it.each(['https://cove.example', 'http://127.0.0.1.evil.example', 'http://10.0.0.1:8080', 'nonsense'])(
    'does not offer the local key to %s',
    (url) => {
      expect(readInstallation(url, env)).toEqual({ url })
      expect(readInstallation(undefined, { ...env, COVE_URL: url })).toEqual({ url })
    },
  )

  it('makes do with nothing', () => {
    expect(readInstallation(undefined, { COVE_DATA_DIR: join(folder, 'none') })).toEqual({})
  })
})
