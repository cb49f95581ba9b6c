import { Writable, Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { COMMANDS } from './commands/registry.ts'
import type { Io } from './io.ts'
import { main } from './main.ts'

function sink(take: (text: string) => void): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      take(chunk.toString())
      done()
    },
  })
}

/** Everything that a command line writes, with nothing real behind it. */
async function cove(...argv: readonly string[]) {
  let stdout = ''
  let stderr = ''
  const io: Io = {
    stdin: Readable.from([]),
    stdout: sink((text) => (stdout += text)),
    stderr: sink((text) => (stderr += text)),
    env: { COVE_DATA_DIR: '/nonexistent' },
  }
  const status = await main(argv, io)
  return { status, stdout, stderr }
}

describe('the command line', () => {
  it.each(COMMANDS.map(({ name }) => name))('explains cove %s', async (name) => {
    const { status, stdout, stderr } = await cove(name, '--help')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain(`Usage: cove ${name}`)
  })

  it('guesses what was meant', async () => {
    expect(await cove('docotr')).toEqual({
      status: 2,
      stdout: '',
      stderr: "error: unknown command 'docotr'\nfix: Did you mean doctor?\n",
    })
  })

  it.each([
    ['help', 'docotr'],
    ['docotr', '--help'],
  ])('does not explain the whole command line for %s %s', async (...argv) => {
    expect(await cove(...argv)).toEqual({
      status: 2,
      stdout: '',
      stderr: "error: unknown command 'docotr'\nfix: Did you mean doctor?\n",
    })
  })

  it('tells its version however it is asked', async () => {
    const { stdout } = await cove('version')
    expect(stdout).toMatch(/^cove \d+\.\d+\.\d+ \(node /)
    expect(await cove('--version')).toEqual({ status: 0, stdout, stderr: '' })
    expect(await cove('-v')).toEqual({ status: 0, stdout, stderr: '' })
  })

  it.each([
    [['create', '--limit-memory', 'lots'], 'a number of bytes, such as 512MiB'],
    [['create', '--idle-timeout', '90'], 'a time with a unit, such as 500ms'],
  ])('says for %j what a value must be', async (argv, expected) => {
    const { status, stderr } = await cove(...argv)
    expect(status).toBe(2)
    expect(stderr).toContain(`is invalid. It must be ${expected}`)
  })

  it.each([
    [['list'], 'Did you mean ls?'],
    [['ssh', 'work'], 'Did you mean shell?'],
    [['project', 'delete', 'shop'], 'Did you mean rm?'],
    [['key', 'delete', 'abc'], 'Did you mean revoke?'],
    [['config', 'show'], 'Did you mean view?'],
    [['frobnicate'], 'See `cove --help`.'],
    [['constructor'], 'See `cove --help`.'],
  ])('knows for %j what other tools call it', async (argv, fix) => {
    const { status, stderr } = await cove(...argv)
    expect(status).toBe(2)
    expect(stderr).toMatch(/^error: unknown command/)
    expect(stderr).toContain(`fix: ${fix}\n`)
  })

  it('finds the command behind its own options', async () => {
    const { status, stderr } = await cove('--url', 'ls', 'run')
    expect(status).toBe(2)
    expect(stderr).toContain("missing required argument 'program'")
  })

  it('refuses an address that is none', async () => {
    const { status, stderr } = await cove('--url', 'ftp://x', 'ls')
    expect(status).toBe(1)
    expect(stderr).toContain('"ftp://x" is not an HTTP URL')
  })

  it('has every setting of the daemon as an option of up', async () => {
    const { stdout } = await cove('up', '--help')
    for (const option of ['--listen', '--data-dir', '--idle-timeout', '--allow-native', '--log-file', '--config']) {
      expect(stdout).toContain(`  ${option} `)
    }
  })
})
