import { Cove, CoveError, type ProcessEvent } from '@cove/sdk'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ChaosLine } from './support/chaos-line.ts'
import { TestDaemon } from './support/daemon.ts'

async function* twoParts(): AsyncGenerator<Uint8Array> {
  for (const part of ['a', 'b']) yield new TextEncoder().encode(part)
}

async function* breaking(error: Error): AsyncGenerator<Uint8Array> {
  yield Buffer.from('a')
  throw error
}

async function* silent(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('a')
  await new Promise(() => {})
}

describe('the client and a real daemon', () => {
  let daemon: TestDaemon
  let cove: Cove
  beforeAll(async () => {
    daemon = await TestDaemon.start()
    cove = daemon.client()
  })
  afterAll(() => daemon[Symbol.asyncDispose]())
  afterEach(async () => {
    for await (const { id } of cove.sandboxes.list()) await cove.sandboxes.delete(id)
  })

  it('reads every byte of a stream once while its connection is cut again and again', async () => {
    await using line = await ChaosLine.open(() => daemon.url)
    const far = new Cove({ url: line.url, apiKey: daemon.apiKey })
    await using sandbox = await cove.sandboxes.create()
    const process = await far.sandboxes
      .at(sandbox.id)
      .start([
        'python3',
        '-u',
        '-c',
        'import time\nfor i in range(3000):\n print(i)\n if i % 100 == 0: time.sleep(0.02)',
      ])
    let text = ''
    let cuts = 0
    for await (const data of process.stdout) {
      text += new TextDecoder().decode(data)
      if (text.length > (cuts + 1) * 3000) {
        cuts++
        line.cut()
      }
    }
    expect(cuts).toBeGreaterThan(2)
    expect(text).toBe(Array.from({ length: 3000 }, (_, i) => `${i}\n`).join(''))
    expect((await process.wait()).exit).toEqual({ kind: 'exited', code: 0 })
  })

  it('finds the result of a run whose connection was cut', async () => {
    await using line = await ChaosLine.open(() => daemon.url)
    const far = new Cove({ url: line.url, apiKey: daemon.apiKey })
    await using sandbox = await cove.sandboxes.create()
    const running = far.sandboxes.at(sandbox.id).run(['sh', '-c', 'echo before; sleep 0.4; echo after >&2; exit 4'])
    await waitForProcess(sandbox.id)
    line.cut()
    const result = await running
    expect([result.stdout, result.stderr, result.exitCode]).toEqual(['before\n', 'after\n', 4])
  })

  it('goes on over a daemon that was killed and started again', async () => {
    await using line = await ChaosLine.open(() => daemon.url)
    const far = new Cove({ url: line.url, apiKey: daemon.apiKey })
    const sandbox = (await far.sandboxes.create()).keep()
    const process = await sandbox.start(['sh', '-c', 'echo one; sleep 2; echo two; exit 6'])
    const seen: ProcessEvent[] = []
    const reading = (async () => {
      for await (const event of process.events()) seen.push(event)
    })()
    await waitForProcess(sandbox.id)
    await daemon.end('SIGKILL')
    await daemon.start()
    cove = daemon.client()
    await reading
    const text = seen.map((event) => (event.type === 'output' ? Buffer.from(event.data).toString() : '')).join('')
    expect(text).toBe('one\ntwo\n')
    expect(seen.at(-1)).toEqual({ type: 'exit', exit: { kind: 'exited', code: 6 }, timedOut: false })
  })

  it('makes one sandbox when the answer to its create is lost', async () => {
    await using line = await ChaosLine.open(() => daemon.url)
    const far = new Cove({ url: line.url, apiKey: daemon.apiKey })
    const creating = far.sandboxes.create({ name: 'once' })
    for await (const event of cove.sandboxes.watch({ name: 'once' })) if (event.type === 'changed') break
    line.cut()
    const sandbox = await creating
    expect((await cove.sandboxes.list().all()).map(({ id }) => id)).toEqual([sandbox.id])
  })

  it('ends the command of a run that is cancelled', async () => {
    await using sandbox = await cove.sandboxes.create()
    const stop = new AbortController()
    const running = sandbox.run(['sleep', '1000'], { signal: stop.signal })
    running.catch(() => {})
    await waitForProcess(sandbox.id)
    stop.abort()
    await expect(running).rejects.toMatchObject({ code: 'cancelled' })
    const [process] = await sandbox.processes.list()
    expect(process?.exit).toEqual({ kind: 'signaled', signal: 9 })
  })

  it('keeps head and tail of output that is too long', async () => {
    await using sandbox = await cove.sandboxes.create()
    for (const onOutput of [undefined, () => {}]) {
      const result = await sandbox.run(['sh', '-c', 'echo begin; head -c 3000000 /dev/zero; echo end'], {
        maxOutputBytes: 1000,
        ...(onOutput === undefined ? {} : { onOutput }),
      })
      expect(result.stdoutBytes).toHaveLength(1000)
      expect([result.stdout.slice(0, 6), result.stdout.slice(-4)]).toEqual(['begin\n', 'end\n'])
      expect([result.truncated, result.stdoutOmitted]).toEqual([true, 3_000_000 + 10 - 1000])
    }
  })

  it('holds a process back whose reader is slow, and loses nothing', async () => {
    await using sandbox = await cove.sandboxes.create()
    const process = await sandbox.start(['head', '-c', '30000000', '/dev/zero'])
    let bytes = 0
    for await (const data of process.stdout) {
      bytes += data.byteLength
      if (bytes < 200_000) await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(bytes).toBe(30_000_000)
  })

  it('takes input of any size', async () => {
    await using sandbox = await cove.sandboxes.create()
    const input = new Uint8Array(3_000_000).fill(120)
    expect((await sandbox.run(['wc', '-c'], { stdin: input })).stdout.trim()).toBe('3000000')
    async function* parts() {
      for (let at = 0; at < input.length; at += 70_000) yield input.subarray(at, at + 70_000)
    }
    expect((await sandbox.run(['wc', '-c'], { stdin: parts() })).stdout.trim()).toBe('3000000')
    expect((await sandbox.run(['true'], { stdin: input })).exitCode).toBe(0)
  })

  it('ends a command whose input breaks, and tells what broke', async () => {
    await using sandbox = await cove.sandboxes.create()
    for (const error of [new Error('the disk broke'), new CoveError('connection-lost', 'the other sandbox is gone')]) {
      await expect(sandbox.run(['cat'], { stdin: breaking(error) })).rejects.toBe(error)
    }
    const running = async () => (await sandbox.processes.list()).filter(({ exit }) => exit === undefined)
    await expect.poll(running).toEqual([])
  })

  it('waits for no input that its command does not want', async () => {
    await using sandbox = await cove.sandboxes.create()
    let isLetGo = false
    async function* endless() {
      try {
        for (;;) {
          yield Buffer.from('a')
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      } finally {
        isLetGo = true
      }
    }
    expect((await sandbox.run(['head', '-c1'], { stdin: silent() })).stdout).toBe('a')
    expect((await sandbox.run(['head', '-c1'], { stdin: endless() })).stdout).toBe('a')
    await expect.poll(() => isLetGo).toBe(true)
  })

  it('waits for a process no longer than asked, and can wait again', async () => {
    await using sandbox = await cove.sandboxes.create()
    await using process = await sandbox.start(['sleep', '1000'])
    await expect(process.wait({ timeoutMs: 50 })).rejects.toMatchObject({ code: 'deadline-exceeded' })
    await expect(process.wait({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'cancelled' })
    await process.signal('INT')
    expect(await process.wait({ timeoutMs: 10_000 })).toEqual({
      exit: { kind: 'signaled', signal: 2 },
      timedOut: false,
    })
  })

  it('ends a process at the end of its block, and leaves an attached one alone', async () => {
    await using sandbox = await cove.sandboxes.create()
    {
      await using _started = await sandbox.start(['sleep', '1000'], { id: 'mine' })
    }
    const other = await sandbox.start(['sleep', '1000'], { id: 'other' })
    other.detach()
    {
      await using _attached = await sandbox.processes.attach('other')
    }
    const ended = (await sandbox.processes.list()).map(({ id, exit }) => [id, exit?.kind])
    expect(Object.fromEntries(ended)).toEqual({ mine: 'signaled', other: undefined })
  })

  it('gives a terminal its size, and changes it', async () => {
    await using sandbox = await cove.sandboxes.create()
    await using process = await sandbox.start(['sh', '-c', 'stty size; read x; stty size'], {
      terminal: { rows: 10, columns: 20 },
    })
    let text = ''
    for await (const data of process.stdout) {
      text += new TextDecoder().decode(data)
      if (text === '10 20\r\n') {
        await process.resize({ rows: 30, columns: 40 })
        await process.write('\n')
      }
    }
    expect(text).toContain('30 40')
  })

  it('deletes what it made when the block is left, and nothing else', async () => {
    const kept = (await cove.sandboxes.create()).keep()
    {
      await using mine = await cove.sandboxes.create()
      await using other = await cove.sandboxes.get(kept.id)
      expect(other.id).not.toBe(mine.id)
    }
    expect((await cove.sandboxes.list().all()).map(({ id }) => id)).toEqual([kept.id])
  })

  it('tells errors with their code, remedy and request', async () => {
    await using sandbox = await cove.sandboxes.create()
    const { files } = sandbox
    await files.write('/home/user/file', 'x')
    const cases: [() => Promise<unknown>, string][] = [
      [() => files.read('/home/user/none'), 'file-not-found'],
      [() => files.read('/home/user'), 'is-a-directory'],
      [() => files.mkdir('/home/user/file'), 'file-exists'],
      [() => files.write('/etc/x', 'x'), 'file-permission-denied'],
      [() => files.stat('relative'), 'path-invalid'],
      [() => files.read('/home/user/file', { maxBytes: 0 }), 'payload-too-large'],
      [() => sandbox.run(['no-such-program']), 'command-not-found'],
      [() => sandbox.run(['true'], { incarnation: 9 }), 'stale-incarnation'],
      [() => sandbox.processes.attach('none'), 'process-not-found'],
      [() => cove.sandboxes.create({ template: 'none' }), 'template-not-found'],
      [() => cove.sandboxes.create({ limits: { memoryBytes: 2 ** 45 } }), 'limit-not-enforceable'],
      [() => new Cove({ url: daemon.url, apiKey: 'cove_wrong' }).sandboxes.get('x'), 'unauthenticated'],
    ]
    for (const [call, code] of cases) {
      const error: unknown = await call().catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(CoveError)
      expect(error).toMatchObject({ code, fix: expect.stringMatching(/\w/) as string })
    }
  })

  it('is told why a large upload was refused, and stops sending', async () => {
    await using sandbox = await cove.sandboxes.create()
    let sent = 0
    async function* large() {
      for (; sent < 1000; sent++) yield new Uint8Array(1_000_000)
    }
    const refused = sandbox.files.write('/etc/large', large())
    await expect(refused).rejects.toMatchObject({ code: 'file-permission-denied' })
    expect(sent).toBeLessThan(500)
  })

  it('works the same through fetch, as in a browser', async () => {
    const web = new Cove({ url: daemon.url, apiKey: daemon.apiKey, fetch })
    await using sandbox = await web.sandboxes.create()
    expect((await sandbox.run('python', 'print(6 * 7)')).stdout).toBe('42\n')
    await sandbox.files.write('/tmp/blob', new Blob(['content']))
    await sandbox.files.write('/tmp/stream', twoParts())
    expect([await sandbox.files.readText('/tmp/blob'), await sandbox.files.readText('/tmp/stream')]).toEqual([
      'content',
      'ab',
    ])
    const process = await sandbox.start(['sh', '-c', 'echo out; echo err >&2'])
    let text = ''
    for await (const event of process.events())
      if (event.type === 'output') text += new TextDecoder().decode(event.data)
    expect(text.split('\n').toSorted()).toEqual(['', 'err', 'out'])
    await expect(web.sandboxes.get('none')).rejects.toMatchObject({ code: 'sandbox-not-found' })
  })

  /** Until a process is there that has written something or has begun to run. */
  async function waitForProcess(id: string): Promise<void> {
    for (;;) {
      if ((await cove.sandboxes.at(id).processes.list()).length > 0) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
})
