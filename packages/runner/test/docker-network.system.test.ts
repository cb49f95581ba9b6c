import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { missingForDockerd } from '@cove/docker-engine/testing'
import { collect, DockerBench, say } from './support/docker-bench.ts'
import { TestRegistry } from './support/test-registry.ts'

const IP = ['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip'].find((path) => existsSync(path))
const missing = missingForDockerd() ?? (IP === undefined ? 'ip is not installed (package iproute2)' : undefined)
if (missing !== undefined) console.log(`skipped: ports of containers: ${missing}`)

const BRIDGE = 'covetest0'
const HERE = '10.213.57.1'
const ip = (...args: readonly string[]): void => void execFileSync(IP ?? 'ip', args)

/** What answers there; undefined when nothing does. */
async function answer(host: string, port: number): Promise<string | undefined> {
  const socket = connect({ host, port })
  try {
    return await text(socket)
  } catch {
    return undefined
  } finally {
    socket.destroy()
  }
}

describe.skipIf(missing !== undefined)('a container with a network', () => {
  let bench: DockerBench
  beforeAll(async () => {
    ip('link', 'add', 'name', BRIDGE, 'type', 'bridge')
    ip('addr', 'add', `${HERE}/24`, 'dev', BRIDGE)
    ip('link', 'set', BRIDGE, 'up')
    bench = await DockerBench.start([`--bridge=${BRIDGE}`])
  })
  afterAll(async () => {
    await bench?.[Symbol.asyncDispose]()
    ip('link', 'del', BRIDGE)
  })

  test.each([false, true])(
    'has its ports on loopback, and elsewhere only when they are public: %s',
    async (publicPorts) => {
      const command = ['sh', '-c', 'echo ready; while :; do echo hello | nc -l -p 80; done']
      await using environment = await bench.ready({
        command,
        network: 'bridge',
        ports: [{ container: 80 }],
        publicPorts,
      })
      for await (const line of environment.logs({ follow: true })) if (line.text === 'ready') break
      const [port] = await environment.ports()
      expect(port).toMatchObject({ container: 80, protocol: 'tcp', address: publicPorts ? '0.0.0.0' : '127.0.0.1' })
      expect(networkInterfaces()[BRIDGE]?.[0]?.address).toBe(HERE)
      await expect.poll(() => answer('127.0.0.1', port?.host ?? 0), { timeout: 10_000 }).toBe('hello\n')
      const fromOutside = (): Promise<string | undefined> => answer(HERE, port?.host ?? 0)
      await expect.poll(fromOutside, { timeout: 10_000 }).toBe(publicPorts ? 'hello\n' : undefined)
    },
  )

  test('knows its host by name', async () => {
    await using environment = await bench.ready({ network: 'bridge' })
    expect(await say(environment, 'grep host.docker.internal /etc/hosts')).toBe(`${HERE}\thost.docker.internal`)
  })

  test('gets its image when it is not there, and tells how far it is', async () => {
    const root = join(bench.daemon.folder, 'root')
    await using registry = await TestRegistry.start(execFileSync('tar', ['-C', root, '-c', '.'], { maxBuffer: 1e8 }))
    const steps: string[] = []
    await using environment = await bench.open({ image: registry.image })
    await environment.init({ progress: (step) => void steps.push(step) })
    expect(steps[0]).toBe(`pulling ${registry.image}`)
    expect(steps.some((step) => /: 1 of 1 layers, \d\.\d of \d\.\d MB$/.test(step))).toBe(true)
    expect(steps.at(-1)).toMatch(/^creating the container cove-box-/)
    expect(steps.length).toBeLessThan(30)
    const proc = await environment.newProcess('echo', 'pulled')
    const lines = collect(proc)
    await proc.run()
    expect(lines).toEqual(['pulled'])
    await using none = await bench.open({ image: registry.image.replace('box', 'none') })
    await expect(none.init()).rejects.toMatchObject({ code: 'image-not-found' })
  })
})
