import { once } from 'node:events'
import { request } from 'node:http'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Cove, Sandbox } from '@cove/sdk'
import { TestDaemon } from './support/daemon.ts'
import { commandsWith } from './support/host-commands.ts'

const MIB = 1024 * 1024

/** What users and programs do wrong, each answered by a clear error or contained, with nothing else changed. */
describe('bad input', () => {
  let daemon: TestDaemon
  let cove: Cove
  let box: Sandbox

  beforeAll(async () => {
    daemon = await TestDaemon.start()
    cove = daemon.client()
    box = await cove.sandboxes.create()
  })
  afterAll(() => daemon[Symbol.asyncDispose]())

  /** The sandbox still works: what happened before has harmed nothing. */
  const stillWorks = async () => {
    expect((await box.run(['echo', 'alive'])).stdout).toBe('alive\n')
  }
  const count = async () => (await Array.fromAsync(cove.sandboxes.list())).length

  describe('in a call', () => {
    it('an unknown id', async () => {
      await expect(cove.sandboxes.get('aaaaaaaaaaaaaaaa')).rejects.toMatchObject({ code: 'sandbox-not-found' })
      await expect(cove.sandboxes.get('No Such Name!')).rejects.toMatchObject({
        code: expect.stringMatching(/not-found|invalid-argument/),
      })
    })

    it('a stale incarnation reaches no successor', async () => {
      await using other = await cove.sandboxes.create()
      await other.stop()
      const second = await cove.sandboxes.start(other.id)
      expect(second.info.incarnation).toBe(2)
      await expect(second.run(['true'], { incarnation: 1 })).rejects.toMatchObject({ code: 'stale-incarnation' })
      expect((await second.run(['true'], { incarnation: 2 })).ok).toBe(true)
    })

    it.each([
      ['with NUL', '/home/user/a\0b'],
      ['relative', 'home/user/x'],
      ['of 10,000 characters', `/${'x/'.repeat(5000)}`],
      ['with a name of 256 bytes', `/home/user/${'x'.repeat(256)}`],
    ])('a path %s', async (_, path) => {
      await expect(box.files.write(path, 'x')).rejects.toMatchObject({ code: 'path-invalid' })
      await expect(box.files.readText(path)).rejects.toMatchObject({ code: 'path-invalid' })
    })

    it('a path with .. stays inside the sandbox', async () => {
      const inside = await box.files.readText('/home/user/../../../../../../etc/hostname')
      expect(inside).toBe(await box.files.readText('/etc/hostname'))
      await expect(box.files.readText(`/../../../..${daemon.dataDir}/api-key`)).rejects.toMatchObject({
        code: 'file-not-found',
      })
    })

    it('a symlink that points out resolves inside', async () => {
      await box.run(['ln', '-s', `${daemon.dataDir}/api-key`, '/home/user/out'])
      await expect(box.files.readText('/home/user/out')).rejects.toMatchObject({ code: 'file-not-found' })
      await box.run(['ln', '-s', '/etc/shadow', '/home/user/shadow'])
      const shadow = await box.files.readText('/home/user/shadow', { user: 'root' }).catch(() => '')
      expect(shadow).not.toContain((await readFile('/etc/shadow', 'utf8')).split('\n')[0])
    })

    it('a name that is not UTF-8 is listed and does no harm', async () => {
      await box.run(['sh', '-c', 'mkdir -p names && touch "names/$(printf "a\\377b")" names/ok'])
      const names = (await Array.fromAsync(box.files.list('/home/user/names'))).map(({ name }) => name)
      expect(names.toSorted()).toEqual(['a\uFFFDb', 'ok'])
    })

    it('a path in a URL that is not UTF-8', async () => {
      const answer = await raw('GET', `/v1/sandboxes/${box.id}/files?path=/home/user/%FF%FE`)
      expect(answer.status).toBe(400)
      expect(JSON.parse(answer.body)).toMatchObject({
        code: expect.stringMatching(/path-invalid|invalid-argument/),
        fix: expect.any(String),
      })
    })

    it('a negative timeout', async () => {
      await expect(box.run(['true'], { timeoutMs: -1 })).rejects.toMatchObject({ code: 'invalid-argument' })
      const before = await count()
      await expect(cove.sandboxes.create({ idleTimeout: -5 })).rejects.toMatchObject({ code: 'invalid-argument' })
      await expect(cove.sandboxes.create({ lifetime: -5 })).rejects.toMatchObject({ code: 'invalid-argument' })
      expect(await count()).toBe(before)
    })

    it('a required memory limit larger than the host', async () => {
      const before = await count()
      const refused = cove.sandboxes.create({ limits: { memoryBytes: 2 ** 50 } })
      await expect(refused).rejects.toMatchObject({ code: 'limit-not-enforceable', fix: expect.any(String) })
      expect(await count()).toBe(before)
    })

    it.each(['A=B', '', 'A\0B'])('an environment variable named %j', async (name) => {
      await expect(box.run(['true'], { env: { [name]: 'x' } })).rejects.toMatchObject({ code: 'invalid-argument' })
      await expect(cove.sandboxes.create({ env: { [name]: 'x' } })).rejects.toMatchObject({ code: 'invalid-argument' })
    })

    it('a template that does not exist', async () => {
      await expect(cove.sandboxes.create({ template: 'nowhere' })).rejects.toMatchObject({ code: 'template-not-found' })
    })

    it('a program that does not exist, a folder that does not, a user that does not', async () => {
      await expect(box.run(['no-such-program'])).rejects.toMatchObject({ code: 'command-not-found' })
      await expect(box.run(['true'], { cwd: '/nowhere' })).rejects.toMatchObject({ code: 'file-not-found' })
      await expect(box.run(['true'], { user: 'nobody-here' })).rejects.toMatchObject({ code: 'user-not-found' })
      await stillWorks()
    })

    it('a JSON body of 100 MB is refused before it is read', async () => {
      const answer = await new Promise<{ body: string; sent: number }>((resolve, reject) => {
        const sent = request(`${daemon.url}/cove.v1.SandboxService/CreateSandbox`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${daemon.apiKey}`,
            'content-type': 'application/json',
            'content-length': 100e6,
          },
        })
        let bytes = 0
        const chunk = Buffer.alloc(MIB, 0x20)
        const push = () => {
          while (bytes < 100e6 && !sent.destroyed) {
            bytes += chunk.length
            if (!sent.write(chunk)) return void sent.once('drain', push)
          }
        }
        sent.on('response', (response) => {
          let body = ''
          response.setEncoding('utf8').on('data', (text: string) => (body += text))
          response.on('end', () => {
            resolve({ body, sent: bytes })
            sent.destroy()
          })
        })
        sent.on('error', reject)
        push()
      })
      expect(JSON.parse(answer.body)).toMatchObject({
        code: 'resource_exhausted',
        message: expect.stringMatching(/bytes|large/),
      })
      expect(answer.sent).toBeLessThan(32 * MIB)
      await stillWorks()
    })

    it('a client that disconnects in the middle of a stream ends nothing but itself', async () => {
      const process_ = await box.start(['sh', '-c', 'while :; do echo x; sleep 0.01; done'], { id: 'chatter' })
      for await (const event of process_.events()) if (event.type === 'output') break
      process_.detach()
      const again = await box.processes.attach('chatter')
      let lines = 0
      for await (const event of again.events()) if (event.type === 'output' && ++lines > 3) break
      expect(lines).toBe(4)
      await again.kill()
      await stillWorks()
    })

    it('an upload that breaks off changes nothing', async () => {
      await box.files.write('/home/user/kept', 'old')
      const sent = request(`${daemon.url}/v1/sandboxes/${box.id}/files?path=/home/user/kept`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${daemon.apiKey}`, 'content-length': 10 * MIB },
      })
      sent.on('error', () => {})
      sent.write(Buffer.alloc(MIB))
      await once(sent, 'drain').catch(() => {})
      sent.destroy()
      await once(sent, 'close').catch(() => {})
      await expect
        .poll(
          async () =>
            (await Array.fromAsync(box.files.list('/home/user'))).filter(({ name }) => name.includes('kept')).length,
        )
        .toBe(1)
      expect(await box.files.readText('/home/user/kept')).toBe('old')
    })
  })

  const limited = () =>
    cove.sandboxes.create({ limits: { memoryBytes: 128 * MIB, processes: 64, diskBytes: 64 * MIB } })

  describe('from inside', () => {
    it('a fork bomb meets its limit, and the sandbox can still be used', async () => {
      await using bombed = await limited()
      const bomb = await bombed.start(['sh', '-c', 'b() { b | b & }; b; sleep 60'])
      const failed = await bombed.run(['sh', '-c', 'for i in $(seq 200); do sleep 30 & done; wait'], {
        timeoutMs: 3000,
      })
      expect(failed.ok).toBe(false)
      await bomb.kill()
      expect((await cove.sandboxes.get(bombed.id)).info.state).toBe('running')
      await expect.poll(async () => (await bombed.run(['echo', 'alive'])).stdout, { timeout: 10_000 }).toBe('alive\n')
      await stillWorks()
    })

    it('a memory bomb is ended, told truthfully, and the sandbox stays', async () => {
      await using bombed = await limited()
      const result = await bombed.run('python', 'x = bytearray(1 << 30)')
      expect(result.exit).toEqual({ kind: 'out-of-memory' })
      expect((await bombed.run(['echo', 'alive'])).stdout).toBe('alive\n')
    })

    it('a disk bomb meets the end of its disk, not of the host', async () => {
      await using bombed = await limited()
      const result = await bombed.run(['sh', '-c', 'head -c 200000000 /dev/zero > bomb'])
      expect(result.ok).toBe(false)
      expect(result.stderr).toContain('No space left on device')
      expect((await bombed.run(['rm', 'bomb'])).ok).toBe(true)
      await stillWorks()
    })

    it('1 GB of output in one line passes through with flat memory', async () => {
      const before = await resident()
      let received = 0
      const process_ = await box.start(['head', '-c', '1000000000', '/dev/zero'])
      for await (const event of process_.events()) if (event.type === 'output') received += event.data.length
      expect(received).toBe(1e9)
      expect((await resident()) - before).toBeLessThan(150 * MIB)
    })

    it('1 GB of output that nobody reads is kept head and tail', async () => {
      const result = await box.run(['sh', '-c', 'echo first; head -c 1000000000 /dev/zero; echo; echo last'], {
        maxOutputBytes: 4096,
      })
      expect(result.truncated).toBe(true)
      expect(result.stdoutBytes.length + result.stdoutOmitted).toBe(1e9 + 12)
      expect(result.stdout.startsWith('first\n')).toBe(true)
      expect(result.stdout.endsWith('last\n')).toBe(true)
    })

    it('10,000 small files', async () => {
      await box.run(['sh', '-c', 'mkdir many && cd many && seq 10000 | xargs touch'])
      expect(await Array.fromAsync(box.files.list('/home/user/many'))).toHaveLength(10_000)
      await box.files.remove('/home/user/many', { recursive: true })
      await expect(box.files.stat('/home/user/many')).rejects.toMatchObject({ code: 'file-not-found' })
    })

    it('a process that ignores TERM is ended all the same, with its output so far', async () => {
      const result = await box.run(['sh', '-c', 'trap "" TERM; echo stubborn; while :; do sleep 1; done'], {
        timeoutMs: 300,
        graceMs: 200,
      })
      expect(result).toMatchObject({ timedOut: true, exit: { kind: 'signaled', signal: 9 } })
      expect(result.stdout).toBe('stubborn\n')
    })

    it('a daemon that forks twice does not hold the call back, and ends with the sandbox', async () => {
      const other = await cove.sandboxes.create()
      const marker = 86_400 + Math.floor(process.pid % 1000)
      const result = await other.run(['sh', '-c', `(setsid sh -c 'sleep ${marker} & ' &) ; echo started`])
      expect(result.stdout).toBe('started\n')
      await expect.poll(() => commandsWith(`sleep\0${marker}`)).toHaveLength(1)
      await other.delete()
      expect(await commandsWith(`sleep\0${marker}`)).toEqual([])
    })
  })

  async function raw(method: string, path: string): Promise<{ status: number; body: string }> {
    const sent = request(`${daemon.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${daemon.apiKey}` },
    }).end()
    const [response] = (await once(sent, 'response')) as [import('node:http').IncomingMessage]
    return { status: response.statusCode ?? 0, body: Buffer.concat(await response.toArray()).toString('utf8') }
  }

  async function resident(): Promise<number> {
    return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${daemon.pid}/status`, 'utf8'))?.[1]) * 1024
  }
})
