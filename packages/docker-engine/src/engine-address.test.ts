import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { findEngineAddress, parseEngineAddress } from './engine-address.ts'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function configFolder(current: string, contexts: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  folders.push(folder)
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ currentContext: current }))
  for (const [name, host] of Object.entries(contexts)) {
    const meta = join(folder, 'contexts/meta', createHash('sha256').update(name).digest('hex'))
    mkdirSync(meta, { recursive: true })
    writeFileSync(join(meta, 'meta.json'), JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }))
  }
  return folder
}

test.each([
  ['unix:///run/x.sock', { kind: 'unix', path: '/run/x.sock' }],
  ['tcp://127.0.0.1:2375', { kind: 'tcp', host: '127.0.0.1', port: 2375 }],
  ['tcp://[::1]:99', { kind: 'tcp', host: '::1', port: 99 }],
  ['http://box', { kind: 'tcp', host: 'box', port: 2375 }],
])('%s', (text, address) => {
  expect(parseEngineAddress(text)).toEqual(address)
})

test.each(['', 'docker', 'unix://run/x', 'npipe:////./pipe/docker', 'ssh://box', 'tcp://', 'tcp://a/b', 'tcp://u@a:1'])(
  '%j is no address',
  (text) => {
    expect(() => parseEngineAddress(text)).toThrow(expect.objectContaining({ code: 'config-invalid' }))
  },
)

test('the engine is the one that the docker command would use', async () => {
  const DOCKER_CONFIG = configFolder('far', { far: 'tcp://far:1', near: 'unix:///near.sock' })
  const usual = { kind: 'unix', path: '/var/run/docker.sock' }
  expect(await findEngineAddress({})).toEqual(usual)
  expect(await findEngineAddress({ DOCKER_CONFIG })).toEqual({ kind: 'tcp', host: 'far', port: 1 })
  expect(await findEngineAddress({ DOCKER_CONFIG, DOCKER_CONTEXT: 'near' })).toMatchObject({ path: '/near.sock' })
  expect(await findEngineAddress({ DOCKER_CONFIG, DOCKER_CONTEXT: 'default' })).toEqual(usual)
  expect(await findEngineAddress({ DOCKER_CONFIG, DOCKER_HOST: 'tcp://other:2' })).toMatchObject({ host: 'other' })
  await expect(findEngineAddress({ DOCKER_CONFIG, DOCKER_CONTEXT: 'gone' })).rejects.toMatchObject({
    code: 'config-invalid',
  })
  await expect(findEngineAddress({ DOCKER_HOST: 'tcp://a:1', DOCKER_TLS_VERIFY: '1' })).rejects.toThrow(
    'DOCKER_CERT_PATH',
  )
})
