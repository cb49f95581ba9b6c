import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DockerEngine } from '@cove/docker-engine'
import { missingForDockerd, TestDockerd } from '@cove/docker-engine/testing'
import type { DockerEnvironment } from './docker-environment.ts'
import type { DockerEnvironmentOptions } from './docker-options.ts'
import { openDockerEnvironment } from './open-docker-environment.ts'

const missing = missingForDockerd()
if (missing !== undefined) console.log(`skipped: containers as environments: ${missing}`)

describe.skipIf(missing !== undefined)('a container as an environment', () => {
  let daemon: TestDockerd
  let engine: DockerEngine
  beforeAll(async () => {
    daemon = await TestDockerd.start()
    engine = await daemon.open()
  })
  afterAll(async () => {
    engine?.[Symbol.dispose]()
    await daemon?.[Symbol.asyncDispose]()
  })

  let count = 0
  const open = (more: Partial<DockerEnvironmentOptions> = {}): Promise<DockerEnvironment> => {
    count += 1
    return openDockerEnvironment({
      name: `box-${count}`,
      image: TestDockerd.image,
      installation: 'test',
      network: 'none',
      pause: true,
      engine,
      ...more,
    })
  }
  const ready = async (more: Partial<DockerEnvironmentOptions> = {}): Promise<DockerEnvironment> => {
    const environment = await open(more)
    await environment.init()
    return environment
  }

  test('a process says all, with its environment and directory, and ends with its code', async () => {
    await using environment = await ready({ environment: { A: 'container' }, directory: '/tmp' })
    environment.withEnvironment({ B: 'environment', C: 'environment' })
    const said: string[] = []
    const proc = await environment.newProcess('sh', '-c', 'echo $A $B $C $FROM_IMAGE $D; pwd; echo err >&2; exit 7')
    proc.withEnvironment({ C: 'process', D: 'x' }).withEnvironmentAppended('D', 'y', ':').withDirectory('../bin')
    proc.withOutput(({ stream, text }) => void said.push(`${stream} ${text}`))
    expect(await proc.run()).toEqual({ kind: 'exited', code: 7 })
    expect(said.toSorted()).toEqual(['stderr err', 'stdout /bin', 'stdout container environment process yes x:y'])
    expect(environment.description).toMatch(/^docker \d.*, container cove-box-\d+, created$/)
  })

  test('what cannot be started is told as what it is', async () => {
    await using environment = await ready()
    const start = async (program: string, directory = '/'): Promise<void> => {
      const proc = await environment.newProcess(program)
      await proc.withDirectory(directory).start()
    }
    await expect(start('nothing-here')).rejects.toMatchObject({ code: 'command-not-found' })
    await expect(start('/bin/nothing-here')).rejects.toMatchObject({ code: 'command-not-found' })
    await expect(start('/etc')).rejects.toMatchObject({ code: 'permission-denied' })
    await expect(start('true', '/nowhere')).rejects.toMatchObject({ code: 'path-invalid' })
    await environment.withBinary('cat')
    await environment.withBinary('/bin/sh')
    await expect(environment.withBinary('nothing-here')).rejects.toMatchObject({ code: 'command-not-found' })
    await expect(environment.withBinary('/etc')).rejects.toMatchObject({ code: 'command-not-found' })
  })

  test('stop ends all that it has started, by TERM and then by force', async () => {
    await using environment = await ready()
    const gentle = await environment.newProcess('sh', '-c', 'sleep 1000 & sleep 1000')
    await gentle.start()
    expect(await gentle.stop()).toEqual({ kind: 'signaled', signal: 15 })
    const said: string[] = []
    const stubborn = await environment.newProcess('sh', '-c', "trap '' TERM; echo up; while :; do sleep 1; done")
    const up = Promise.withResolvers<void>()
    stubborn.withOutput(({ text }) => {
      said.push(text)
      up.resolve()
    })
    await stubborn.start()
    await up.promise
    expect(await stubborn.stop({ graceMs: 100 })).toEqual({ kind: 'signaled', signal: 9 })
    expect(said).toContain('up')
    const processes = await engine.listProcesses(environment.container, '-o pid,comm')
    expect(processes.map(([, name]) => name)).toEqual(['docker-init', 'cat'])
  })

  test('the container goes, and what ran in it is told as lost', async () => {
    await using environment = await ready()
    const proc = await environment.newProcess('sleep', '1000')
    await proc.start()
    expect(proc.pid).toBeGreaterThan(1)
    await engine.removeContainer(environment.container)
    expect(await proc.wait()).toEqual({ kind: 'lost' })
  })
})
