import { describe, expect, it } from 'vitest'
import { readRunscConfig, runscConfig, type RunscConfigRequest } from './config.ts'
import { isTooOld, platformOf } from './tool.ts'

const REQUEST: RunscConfigRequest = {
  hostname: 'box',
  agent: ['/run/.cove-agent', 'agent', '--stdio'],
  env: { PATH: '/bin' },
  tmpBytes: 1024,
  volumes: [],
  hasNetwork: false,
}

describe('the configuration of a gVisor machine', () => {
  it('says again what a saved machine needs', () => {
    const volumes = ['/data', '/tmp/inner'].map((target) => ({ source: '/v', target, readOnly: true }))
    expect(readRunscConfig(runscConfig({ ...REQUEST, volumes }))).toEqual({
      tmpBytes: 1024,
      volumes: ['/data', '/tmp/inner'],
      hasNetwork: false,
    })
    expect(readRunscConfig(runscConfig({ ...REQUEST, hasNetwork: true })).hasNetwork).toBe(true)
  })

  it('keeps the order of the mounts, with volumes last', () => {
    const volumes = [{ source: '/v', target: '/data', readOnly: false }]
    expect(mounts({ ...REQUEST, volumes })).toEqual([...mounts(REQUEST), '/data'])
  })
})

describe('the way to catch system calls', () => {
  it.each([
    ['runsc version 0.0~20240729.0', 'systrap'],
    ['runsc version release-20230619.0', 'systrap'],
    ['runsc version 0.0~20221219.0', 'ptrace'],
    ['unknown', 'ptrace'],
  ])('of %s is %s', (version, platform) => {
    expect(platformOf(version)).toBe(platform)
    expect(isTooOld(version)).toBe(version.includes('2022'))
  })
})

function mounts(request: RunscConfigRequest): readonly string[] {
  const config = JSON.parse(runscConfig(request)) as { readonly mounts: readonly { readonly destination: string }[] }
  return config.mounts.map(({ destination }) => destination)
}
