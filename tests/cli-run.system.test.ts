import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { CliProcess } from './support/cli-process.ts'
import { MAIN, TestDaemon } from './support/daemon.ts'
import { commandsWith } from './support/host-commands.ts'

describe('cove run', () => {
  let daemon: TestDaemon
  beforeAll(async () => {
    daemon = await TestDaemon.start()
  })
  afterAll(() => daemon[Symbol.asyncDispose]())
  afterEach(async () => {
    const { stdout } = await daemon.cove(['ls', '-q'])
    if (stdout !== '') throw new Error(`sandboxes were left: ${stdout}`)
  })
  const start = (args: readonly string[], options: { readonly terminal?: boolean } = {}) =>
    new CliProcess(args, { COVE_DATA_DIR: daemon.dataDir }, options)

  it('runs a command in a sandbox of its own and passes on output and status', async () => {
    expect(await daemon.cove(['run', 'python', '-c', 'print(6*7)'])).toEqual({ status: 0, stdout: '42\n', stderr: '' })
    const both = await daemon.cove(['run', 'sh', '-c', 'echo out; echo err >&2; exit 7'])
    expect(both).toEqual({ status: 7, stdout: 'out\n', stderr: 'err\n' })
  })

  it.each([
    ['node', ['-e', 'console.log(process.argv.length)', '--', '-x'], '2\n'],
    ['shell', ['-c', 'echo $0 $1', 'a', '--help'], 'a --help\n'],
    ['echo', ['--timeout', '5s', '-t'], '--timeout 5s -t\n'],
  ])('leaves everything behind %s to it', async (program, words, stdout) => {
    expect(await daemon.cove(['run', program, ...words])).toEqual({ status: 0, stdout, stderr: '' })
  })

  it.each([
    ['is ended by a signal', ['sh', '-c', 'kill -TERM $$'], 143, ''],
    ['does not exist', ['no-such-program'], 127, 'no-such-program'],
    ['may not be run', ['/etc/passwd'], 126, '/etc/passwd'],
    ['runs too long', ['--timeout', '300ms', 'sh', '-c', 'echo so far; sleep 60'], 124, 'longer than 300ms'],
    [
      'needs more memory than it may',
      ['--limit-memory', '64MiB', 'python', '-c', 'bytearray(10**9)'],
      137,
      'ran out of memory',
    ],
  ])('tells when the command %s', async (_what, args, status, message) => {
    const ended = await daemon.cove(['run', ...args])
    expect(ended.status).toBe(status)
    expect(ended.stderr).toContain(message)
    expect(ended.stderr).toMatch(message === '' ? /^$/ : /^error: .*\nfix: .*\n$/)
    expect(ended.stdout).toBe(status === 124 ? 'so far\n' : '')
  })

  it('leaves no sandbox that could not be made', async () => {
    // Nobody listens there; the sandbox would be kept with that reason otherwise.
    const { status, stdout, stderr } = await daemon.cove(['run', '--template', 'oci:127.0.0.1:1/none', 'true'])
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/^error: .*\nfix: .*\n$/)
  })

  it('passes stdin on, byte for byte, and its end', async () => {
    const input = randomBytes(5_000_000)
    const sum = createHash('sha256').update(input).digest('hex')
    const { stdout } = await daemon.cove(['run', 'sha256sum'], { input })
    expect(stdout).toBe(`${sum}  -\n`)
    expect(await daemon.cove(['run', 'cat'], { input: '' })).toEqual({ status: 0, stdout: '', stderr: '' })
    expect((await daemon.cove(['run', '--no-stdin', 'cat'], { input: 'x' })).stdout).toBe('')
  })

  it('does not wait for input that the command does not want', async () => {
    using run = start(['run', 'echo', 'done'])
    expect(await run.ended).toMatchObject({ status: 0, stdout: 'done\n' })
  })

  it('sets variables, directory and user', async () => {
    const args = ['-e', 'A=1', '-e', 'B=x=y', '-w', '/tmp', '-u', 'root', 'sh', '-c', 'echo $A $B $PWD $(id -un)']
    expect((await daemon.cove(['run', ...args])).stdout).toBe('1 x=y /tmp root\n')
  })

  it('passes Ctrl-C on to the command, which decides', async () => {
    using run = start(['run', 'sh', '-c', 'trap "echo caught; exit 5" INT; echo ready; while :; do sleep 0.05; done'])
    await run.saw('ready')
    run.kill('SIGINT')
    expect(await run.ended).toMatchObject({ status: 5, stdout: 'ready\ncaught\n' })
  })

  it('ends a command that ignores Ctrl-C at the second one', async () => {
    using run = start(['run', 'sh', '-c', 'trap "" INT; echo ready; sleep 60'])
    await run.saw('ready')
    run.kill('SIGINT')
    run.kill('SIGINT')
    // Two signals in one moment are one to the kernel.
    await new Promise((resolve) => setTimeout(resolve, 100))
    run.kill('SIGINT')
    expect((await run.ended).status).toBe(137)
  })

  it.each(['SIGTERM', 'SIGHUP'] as const)('ends the command and removes the sandbox at %s', async (signal) => {
    using run = start(['run', 'sh', '-c', 'echo ready; sleep 60'])
    await run.saw('ready')
    run.kill(signal)
    expect((await run.ended).status).toBe(signal === 'SIGTERM' ? 143 : 129)
  })

  it('ends at the first Ctrl-C while an image comes, and nothing is made of it', async () => {
    await using registry = createServer().listen(0, '127.0.0.1')
    await once(registry, 'listening')
    const { port } = registry.address() as AddressInfo
    using run = start(['run', '--template', `oci:127.0.0.1:${port}/silent`, 'true'])
    const [asked] = (await once(registry, 'connection')) as [Socket]
    try {
      run.kill('SIGINT')
      expect(await run.ended).toMatchObject({ status: 130, stdout: '' })
      await expect.poll(async () => (await daemon.cove(['ls', '-q'])).stdout, { timeout: 10_000 }).toBe('')
    } finally {
      asked.destroy()
    }
  })

  it('stops quietly when nobody reads its output any more', async () => {
    using run = start(['run', 'yes'])
    await run.saw('y\n')
    run.closeOutput()
    expect(await run.ended).toMatchObject({ status: 141, stderr: '' })
  })

  it('gives the command a terminal with -t', async () => {
    using run = start(['run', '-t', 'sh', '-c', 'stty size; echo TERM=$TERM; read line; echo got $line; exit 3'], {
      terminal: true,
    })
    await run.saw('TERM=xterm')
    run.write('hello\r')
    const { status, stdout } = await run.ended
    expect(status).toBe(3)
    expect(stdout).toMatch(/24 80\r+\n/)
    expect(stdout).toContain('got hello')
  })

  it('opens a shell in which Ctrl-C reaches the job and not the shell', async () => {
    using shell = start(['shell'], { terminal: true })
    await shell.saw('$ ')
    shell.write('sleep 12345\r')
    await expect.poll(() => commandsWith('sleep\u000012345')).toHaveLength(1)
    shell.write('\u0003')
    shell.write('echo status=$?\r')
    await shell.saw('status=130')
    shell.write('exit 4\r')
    expect((await shell.ended).status).toBe(4)
  })

  it('ends a shell that nobody can type into', async () => {
    const shell = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, 'shell'], {
      stdio: ['ignore', 'ignore', 'ignore'],
      env: { ...process.env, COVE_DATA_DIR: daemon.dataDir },
    })
    expect(await once(shell, 'close')).toEqual([0, null])
  })

  it.runIf(existsSync('/dev/full'))('says so when its output finds no room', async () => {
    const full = openSync('/dev/full', 'w')
    try {
      for (const args of [['ls'], ['run', 'echo', 'lost']]) {
        const command = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
          stdio: ['ignore', full, 'pipe'],
          env: { ...process.env, COVE_DATA_DIR: daemon.dataDir },
        })
        const [stderr, [status]] = await Promise.all([
          text(command.stderr ?? Readable.from([])),
          once(command, 'close'),
        ])
        expect({ status: status as unknown, stderr }).toEqual({
          status: 1,
          stderr: expect.stringContaining('error: the output cannot be written: ENOSPC') as string,
        })
      }
    } finally {
      closeSync(full)
    }
  })

  it('colours errors on a terminal only, and not where NO_COLOR asks for none', async () => {
    using coloured = start(['run', '--timeout', 'x', 'true'], { terminal: true })
    expect((await coloured.ended).stdout).toContain('\u001B[31merror:\u001B[0m')
    using plain = new CliProcess(['run', '--timeout', 'x', 'true'], { NO_COLOR: '1' }, { terminal: true })
    expect((await plain.ended).stdout).toContain('error: ')
    expect((await daemon.cove(['run', '--timeout', 'x', 'true'])).stderr).toMatch(/^error: /)
  })
})
