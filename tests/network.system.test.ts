import { existsSync } from 'node:fs'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestDaemon } from './support/daemon.ts'

const hasTools = ['/usr/sbin/nft', '/usr/bin/slirp4netns', '/dev/net/tun'].every((path) => existsSync(path))

/** Nothing here leaves the host: what is reached is its own loopback, and what is not is denied. */
describe.skipIf(!hasTools)('the network of a sandbox', () => {
  let daemon: TestDaemon
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end('from the host\n')
  })
  let port = 0
  beforeAll(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const address = server.address()
    port = typeof address === 'object' ? (address?.port ?? 0) : 0
    daemon = await TestDaemon.start()
  })
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]()
    server.close()
    await once(server, 'close')
  })

  const ask = (name: string) => ['bash', '-c', `cat </dev/tcp/${name}/${port}`]

  it('opens a port of the host when it is asked for, and nothing else of it', async () => {
    const asked = ['run', '--network', 'internet', '--allow', `host:${port}`]
    expect(await daemon.cove([...asked, ...ask('host.cove.internal')])).toMatchObject({ stdout: 'from the host\n' })
    for (const name of ['127.0.0.1', '169.254.169.254']) {
      expect((await daemon.cove([...asked, ...ask(name)])).status).not.toBe(0)
    }
    const unasked = ['run', '--network', 'internet']
    expect((await daemon.cove([...unasked, ...ask('198.19.255.2')])).status).not.toBe(0)
    expect((await daemon.cove(['run', ...ask('198.19.255.2')])).status).not.toBe(0)
  })

  it('has an end to its connections, for they are paid for by the host, and works again behind it', async () => {
    const host = `host.cove.internal`
    const program = `
import socket
def count():
    opened = []
    try:
        while len(opened) < 1500: opened.append(socket.create_connection(('${host}', ${port}), 2))
    except OSError: pass
    return len(opened)
print(count(), count() > 900)`
    const asked = ['run', '--network', 'internet', '--allow', `host:${port}`]
    const { stdout } = await daemon.cove([...asked, 'python3', '-c', program])
    expect(stdout).toMatch(/^(?:9\d\d|10[0-2]\d) True$/m)
  })

  it('outlives the daemon, is shown, and ends with the sandbox', async () => {
    const made = await daemon.cove([
      'create',
      '-q',
      '--name',
      'netted',
      '--network',
      'internet',
      '--allow',
      `host:${port}`,
    ])
    expect(made).toMatchObject({ status: 0, stderr: '' })
    expect((await daemon.cove(['get', 'netted'])).stdout).toContain(`internet (allowed: host:${port})`)
    await daemon.end('SIGKILL')
    await daemon.start()
    const answer = await daemon.cove(['exec', 'netted', ...ask('host.cove.internal')])
    expect(answer.stdout).toBe('from the host\n')
    expect((await daemon.cove(['rm', 'netted'])).status).toBe(0)
  })

  it.each([
    [['--network', 'internet', '--allow', '10.1.2.3/33'], '10.1.2.3/33'],
    [['--network', 'internet', '--allow', '127.0.0.1:80'], 'host:port'],
    [['--network', 'internet', '--allow', '10.1.2.3; flush ruleset'], 'flush ruleset'],
    [
      ['--network', 'internet', ...Array.from({ length: 65 }, (_, n) => ['--allow', `10.1.2.${n}`]).flat()],
      'more than 64',
    ],
    [['--allow', '10.1.2.3'], '--network internet'],
  ])('refuses %j with the reason', async (flags, reason) => {
    const refused = await daemon.cove(['create', ...flags])
    expect(refused.status).not.toBe(0)
    expect(refused.stderr).toContain(reason)
    expect(refused.stderr).toMatch(/^fix: /m)
  })
})
