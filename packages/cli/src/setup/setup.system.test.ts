import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Io } from '../io.ts'
import { mayInstall } from './install-policy.ts'
import { ensureBubblewrap } from './isolation-tool.ts'
import { ensureNetworkTools, missingNetworkTools } from './network-tools.ts'

/** A person at a terminal, or a pipe, and what is written for them. */
function world(isTTY: boolean, env: Io['env'] = {}) {
  const stdin = Object.assign(new PassThrough(), { isTTY })
  const stderr = Object.assign(new PassThrough(), { isTTY })
  const io: Io = { stdin, stdout: new PassThrough(), stderr, env }
  return { io, stdin, told: () => String(stderr.read() ?? '') }
}

describe('whether something may be installed', () => {
  it.each([
    ['\n', true],
    ['y\n', true],
    [' YES \n', true],
    ['n\n', false],
    ['later\n', false],
  ])('a person is asked, and %j is an answer', async (answer, allowed) => {
    const { io, stdin, told } = world(true)
    stdin.write(answer)
    expect(await mayInstall('bubblewrap (by apt-get)', 'ask', io)).toBe(allowed)
    expect(told()).toContain('Cove needs bubblewrap (by apt-get). Install it now? [Y/n]')
  })

  it('a person who closes the terminal has not said yes', async () => {
    const { io, stdin } = world(true)
    stdin.end()
    expect(await mayInstall('bubblewrap', 'ask', io)).toBe(false)
  })

  it.each([
    ['ask', false],
    ['yes', true],
  ] as const)('%s at a terminal (%s) goes ahead and says so', async (policy, isTTY) => {
    const { io, told } = world(isTTY)
    expect(await mayInstall('bubblewrap', policy, io)).toBe(true)
    expect(told()).toBe('cove: installing bubblewrap\n')
  })

  it('no means no, without a word', async () => {
    const { io, told } = world(true)
    expect(await mayInstall('bubblewrap', 'no', io)).toBe(false)
    expect(told()).toBe('')
  })
})

describe('a machine without bubblewrap', () => {
  let folder: string
  let path: string
  const manager = (script: string): void => {
    path = folder
    writeFileSync(join(folder, 'apt-get'), `#!/bin/sh\necho "$@" >> ${folder}/asked\n${script}\n`, { mode: 0o755 })
    writeFileSync(join(folder, 'sudo'), '#!/bin/sh\nshift\nexec "$@"\n', { mode: 0o755 })
  }
  const asked = (): string[] => readFileSync(join(folder, 'asked'), 'utf8').trimEnd().split('\n')
  const before = process.env['PATH']

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-setup-'))
    process.env['PATH'] = `${folder}:${before}`
  })
  afterEach(() => {
    process.env['PATH'] = before
    rmSync(folder, { recursive: true, force: true })
  })

  it('gets it from the distribution, with fresh package lists where they are needed', async () => {
    manager(`[ "$1" = update ] && exit 0; [ "$(wc -l < ${folder}/asked)" = 3 ]`)
    expect(await ensureBubblewrap('yes', world(false, { PATH: path }).io)).toBeUndefined()
    expect(asked().map((line) => line.split(' ')[0])).toEqual(['install', 'update', 'install'])
    expect(asked()[2]).toMatch(/ bubblewrap$/)
  })

  it.each([
    ['no', 'exit 0', 'was not installed'],
    ['yes', 'echo no such package >&2; exit 100', 'no such package'],
  ] as const)('hears why it did not get it, and what to run by hand (%s)', async (policy, script, why) => {
    manager(script)
    expect(await ensureBubblewrap(policy, world(false, { PATH: path }).io)).toMatchObject({
      message: expect.stringContaining(why),
      fix: expect.stringMatching(/^Run as root: apt-get install .* bubblewrap$/),
    })
  })

  it('hears that there is no package manager', async () => {
    const problem = await ensureBubblewrap('yes', world(false, { PATH: join(folder, 'empty') }).io)
    expect(problem).toMatchObject({ code: 'unsupported', fix: 'Install bubblewrap by hand.' })
  })

  it('asks for what a network needs as well, and for no more than is missing', async () => {
    manager('exit 0')
    for (const name of ['slirp4netns', 'nft']) writeFileSync(join(folder, name), '', { mode: 0o755 })
    const { io } = world(false, { PATH: path })
    expect(await missingNetworkTools(io)).toEqual([])
    expect(await ensureNetworkTools('yes', io)).toBeUndefined()
    rmSync(join(folder, 'slirp4netns'))
    expect(await missingNetworkTools(io)).toEqual(['slirp4netns'])
    expect(await ensureNetworkTools('no', io)).toMatchObject({ message: expect.stringContaining('was not installed') })
    expect(await ensureNetworkTools('yes', io)).toBeUndefined()
    expect(asked()).toEqual([expect.stringMatching(/^install .* slirp4netns$/)])
  })
})
