import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { missingForDockerd, TestDockerd } from '@cove/docker-engine/testing'
import { GUEST_PROGRAM } from '../../test/support/bench.ts'
import type { RunnerEnvironment } from '../environment/runner-environment.ts'
import { openRunner, type Runner } from '../native/open-runner.ts'
import { openCompanion, type CompanionOptions, type CompanionRunner } from './companion-runner.ts'

const { image } = TestDockerd
const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
const code = join(folder, 'code')
const NOWHERE = { DOCKER_HOST: 'unix:///nonexistent/docker.sock', PATH: '/nonexistent' }
let runner: Runner

beforeAll(async () => {
  mkdirSync(join(code, 'src'), { recursive: true })
  writeFileSync(join(code, 'src/hello'), 'from the host\n')
  runner = await openRunner({ stateFolder: join(folder, 's'), guestProgram: GUEST_PROGRAM })
})
afterAll(async () => {
  await runner.launcher.stopLauncher()
  await runner.close()
  rmSync(folder, { recursive: true })
})

const open = (more: Partial<CompanionOptions>): Promise<CompanionRunner> =>
  openCompanion({ runner: withoutNix(), name: 'companion', hostEnvironment: NOWHERE, ...more })

const withoutNix = (): CompanionOptions['runner'] => {
  return { native: (options) => runner.native(options), installation: runner.installation }
}

/** The same for every backend. */
async function work(companion: CompanionRunner): Promise<{ readonly said: readonly string[]; readonly port: number }> {
  companion.withMount({ source: code, target: '/code' }).withPort({ container: 8080 }).withDirectory('/code/src')
  companion.withPause().withEnvironment({ WORD: 'hello' })
  await companion.init()
  companion.withEnvironment({ MORE: 'world' })
  const proc = await companion.newProcess('sh', '-c', 'cat hello; echo $WORD $MORE')
  const said: string[] = []
  proc.withOutput(({ text }) => void said.push(text))
  expect(await proc.run()).toEqual({ kind: 'exited', code: 0 })
  return { said, port: await companion.hostPort(8080) }
}

test('on this machine when nothing else works, and why is said', async () => {
  await using companion = await open({ image, flake: code })
  expect(companion.choices).toEqual([
    { backend: 'docker', chosen: false, works: false, reason: expect.stringContaining('does not answer') },
    { backend: 'nix', chosen: false, works: false, reason: 'this program does not use nix' },
    { backend: 'native', chosen: true, works: true, reason: 'this machine can always be used' },
  ])
  expect(await work(companion)).toEqual({ said: ['from the host', 'hello world'], port: 8080 })
  expect(companion.description).toBe(`native, ${code}/src: this machine can always be used`)
  expect(() => companion.withPause()).toThrow(expect.objectContaining({ code: 'wrong-state' }))
  await companion.stop()
  await companion.shutdown()
  await expect(companion.newProcess('sh')).rejects.toMatchObject({ code: 'wrong-state' })
})

test('a preference goes first, and alone when nothing else will do', async () => {
  await using companion = await open({ image, prefer: 'native' })
  expect(companion.choices.map(({ backend, chosen }) => [backend, chosen])).toEqual([
    ['native', true],
    ['docker', false],
    ['nix', false],
  ])
  await expect(open({ prefer: 'docker', only: true })).rejects.toMatchObject({
    code: 'unsupported',
    message: 'docker cannot be used: preferred; no image is given',
  })
  const fallen = await open({ prefer: 'nix', flake: code, nix: () => runner.native() })
  expect(fallen.choices[0]).toMatchObject({
    backend: 'nix',
    works: false,
    reason: expect.stringMatching(/no flake.nix$/),
  })
  expect(fallen.backend).toBe('native')
  await fallen.shutdown()
})

test('the shell of a flake when there is one and nix is installed', async () => {
  const flake = join(folder, 'flake')
  const bin = join(folder, 'bin')
  mkdirSync(flake)
  mkdirSync(bin)
  writeFileSync(join(flake, 'flake.nix'), '{}')
  writeFileSync(join(bin, 'nix'), '#!/bin/sh\necho "nix (Nix) 2.8.0"\n', { mode: 0o755 })
  const opened: unknown[] = []
  const nix = (options: { readonly flake: string; readonly directory: string | undefined }): RunnerEnvironment => {
    opened.push(options)
    return runner.native({ directory: options.directory ?? flake })
  }
  await using companion = await open({ flake, nix, hostEnvironment: { ...NOWHERE, PATH: bin } })
  expect(companion.backend).toBe('nix')
  expect(companion.choices[1]?.reason).toBe(`${flake} has a flake, and nix 2.8.0 is installed`)
  expect((await work(companion)).said).toEqual(['from the host', 'hello world'])
  expect(opened).toEqual([{ flake, directory: `${code}/src` }])
})

const missing = missingForDockerd()
if (missing !== undefined) console.log(`skipped: a companion in a container: ${missing}`)

describe.skipIf(missing !== undefined)('with a Docker Engine', () => {
  let daemon: TestDockerd
  beforeAll(async () => {
    daemon = await TestDockerd.start()
  })
  afterAll(async () => {
    await daemon?.[Symbol.asyncDispose]()
  })

  test('a container when there is an image and an engine that answers', async () => {
    const hostEnvironment = { DOCKER_HOST: `unix://${daemon.socket}`, PATH: '' }
    await using companion = await open({ image, hostEnvironment, docker: { network: 'host' } })
    expect(companion.choices).toMatchObject([
      {
        backend: 'docker',
        chosen: true,
        works: true,
        reason: expect.stringMatching(/^an image is given, and Docker \d/),
      },
      { backend: 'nix', works: undefined, reason: 'docker goes before it' },
      { backend: 'native', works: undefined },
    ])
    expect(await work(companion)).toEqual({ said: ['from the host', 'hello world'], port: 8080 })
    expect(companion.description).toMatch(/^docker .*, container cove-companion, created: an image is given/)
    await using without = await open({ hostEnvironment })
    expect(without.choices[0]).toMatchObject({ works: false, reason: 'no image is given' })
    expect(without.backend).toBe('native')
  })
})
