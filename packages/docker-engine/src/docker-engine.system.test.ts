import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Attached } from './attached.ts'
import { openDockerEngine, type DockerEngine } from './docker-engine.ts'
import { missingForDockerd, TestDockerd } from './testing/index.ts'

const missing = missingForDockerd()
if (missing !== undefined) console.log(`skipped: the Docker Engine client on a real engine: ${missing}`)

const { image } = TestDockerd

async function collect(attached: Pick<Attached, 'output'>): Promise<{ stdout: string; stderr: string }> {
  const texts = { stdout: '', stderr: '' }
  for await (const { stream, data } of attached.output) texts[stream] += data.toString('utf8')
  return texts
}

describe.skipIf(missing !== undefined)('a real Docker Engine', () => {
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

  const runToEnd = async (command: readonly string[], more: object = {}) => {
    const { id } = await engine.createContainer({ image, network: 'none', command, ...more })
    try {
      using attached = await engine.attachContainer(id, { terminal: false, stdin: false })
      await engine.startContainer(id)
      const texts = await collect(attached)
      return { ...texts, code: await engine.waitContainer(id), container: await engine.inspectContainer(id) }
    } finally {
      await engine.removeContainer(id)
    }
  }

  test('agrees on a version, and says so', () => {
    expect(engine.version).toMatch(/^\d+\./)
    expect(engine.apiVersion).toMatch(/^1\.\d+$/)
  })

  test('a container runs to its end: both streams, its environment, its exit code', async () => {
    const command = ['sh', '-c', 'echo out $A $FROM_IMAGE; echo err >&2; pwd; exit 7']
    const ended = await runToEnd(command, { env: { A: 'x=y' }, workingDirectory: '/tmp' })
    expect(ended).toMatchObject({ stdout: 'out x=y yes\n/tmp\n', stderr: 'err\n', code: 7 })
    expect(ended.container).toMatchObject({ state: 'exited', exitCode: 7, outOfMemory: false, pid: 0 })
  })

  test('labels find exactly their containers, and names are unique', async () => {
    const spec = { image, network: 'none', command: ['sleep', '100'] }
    const one = await engine.createContainer({ ...spec, name: 'one-box', labels: { room: 'a', kind: 'x' } })
    const two = await engine.createContainer({ ...spec, labels: { room: 'b', kind: 'x' } })
    try {
      const ids = async (labels: Record<string, string>) => (await engine.listContainers(labels)).map(({ id }) => id)
      expect(await ids({ room: 'a' })).toEqual([one.id])
      expect((await ids({ kind: '' })).toSorted()).toEqual([one.id, two.id].toSorted())
      expect(await ids({ room: 'c' })).toEqual([])
      expect((await engine.inspectContainer('one-box')).labels).toMatchObject({ room: 'a' })
      await expect(engine.createContainer({ ...spec, name: 'one-box' })).rejects.toMatchObject({
        code: 'already-exists',
      })
    } finally {
      await engine.removeContainer(one.id)
      await engine.removeContainer(two.id)
    }
    // Twice is no error.
    await engine.removeContainer(one.id)
  })

  test('a further process has streams of its own, stdin, an exit code and a pid', async () => {
    const { id } = await engine.createContainer({ image, network: 'none', command: ['sleep', '100'], init: false })
    try {
      await engine.startContainer(id)
      await engine.startContainer(id)
      const spec = { argv: ['sh', '-c', 'cat; echo done >&2; exit 3'], stdin: true, env: { B: '1' }, user: '1000' }
      const exec = await engine.createExec(id, spec)
      expect(await engine.inspectExec(exec)).toMatchObject({ running: false, pid: 0 })
      using attached = await engine.startExec(exec, spec)
      const reading = collect(attached)
      const large = 'x'.repeat(300_000)
      await attached.write(Buffer.from(large))
      await expect.poll(async () => (await engine.inspectExec(exec)).pid).toBeGreaterThan(0)
      attached.closeStdin()
      expect(await reading).toEqual({ stdout: large, stderr: 'done\n' })
      expect(await engine.inspectExec(exec)).toMatchObject({ running: false, exitCode: 3 })
    } finally {
      await engine.removeContainer(id)
    }
  })

  test('a terminal is one raw stream', async () => {
    const { id } = await engine.createContainer({ image, network: 'none', command: ['sleep', '100'] })
    try {
      await engine.startContainer(id)
      const spec = { argv: ['sh', '-c', 'tty; stty size'], terminal: true }
      const exec = await engine.createExec(id, spec)
      using attached = await engine.startExec(exec, spec)
      expect((await collect(attached)).stdout).toMatch(/^\/dev\/pts\/\d+\r\n/)
    } finally {
      await engine.removeContainer(id)
    }
  })

  test('pause, resume, signal, stop, logs', async () => {
    const command = ['sh', '-c', 'trap "echo bye; exit 5" TERM; echo up; while :; do sleep 1 & wait; done']
    const { id } = await engine.createContainer({ image, network: 'none', command })
    try {
      await engine.startContainer(id)
      for await (const { data } of await engine.containerLogs(id, { follow: true })) {
        if (data.includes('up')) break
      }
      await engine.pauseContainer(id)
      expect((await engine.inspectContainer(id)).state).toBe('paused')
      await engine.resumeContainer(id)
      await engine.stopContainer(id, 10)
      await engine.stopContainer(id, 10)
      expect(await engine.inspectContainer(id)).toMatchObject({ state: 'exited', exitCode: 5 })
      const logs = await collect({ output: await engine.containerLogs(id, { follow: false }) })
      expect(logs.stdout).toBe('up\nbye\n')
      await expect(engine.signalContainer(id, 'SIGKILL')).rejects.toMatchObject({ code: 'wrong-state' })
    } finally {
      await engine.removeContainer(id)
    }
  })

  test('files go in and out as archives', async () => {
    const { id } = await engine.createContainer({ image, network: 'none', command: ['cat', '/tmp/bin/busybox.copy'] })
    try {
      const chunks: Uint8Array[] = []
      for await (const chunk of await engine.getArchive(id, '/bin/true')) chunks.push(chunk)
      const archive = Buffer.concat(chunks)
      expect(archive.subarray(0, 4).toString()).toBe('true')
      await engine.putArchive(id, '/tmp', archive)
      await expect(engine.putArchive(id, '/nowhere', archive)).rejects.toMatchObject({ code: 'container-not-found' })
    } finally {
      await engine.removeContainer(id)
    }
  })

  test('paths are told without a program in the container', async () => {
    const { id } = await engine.createContainer({ image, network: 'none', command: ['sleep', '100'] })
    try {
      expect(await engine.statPath(id, '/bin/busybox')).toMatchObject({ kind: 'file', name: 'busybox', linkTarget: '' })
      expect(((await engine.statPath(id, '/bin/busybox'))?.mode ?? 0) & 0o111).not.toBe(0)
      expect(await engine.statPath(id, '/bin/sh')).toMatchObject({ kind: 'link', linkTarget: '/bin/busybox' })
      expect(await engine.statPath(id, '/tmp')).toMatchObject({ kind: 'directory' })
      expect(await engine.statPath(id, '/nowhere/at/all')).toBeUndefined()
      await expect(engine.statPath('nothing', '/bin')).rejects.toMatchObject({ code: 'container-not-found' })
    } finally {
      await engine.removeContainer(id)
    }
  })

  test('what happens is told, from before the question too', async () => {
    const spec = { image, network: 'none', command: ['cat'], stdin: 'once' as const, env: { A: '1' } }
    const { id } = await engine.createContainer({ ...spec, memoryBytes: 64 * 1024 * 1024, workingDirectory: '/tmp' })
    try {
      const holding = await engine.attachContainer(id, { terminal: false, stdin: true, output: false })
      await engine.startContainer(id)
      expect(await engine.inspectContainer(id)).toMatchObject({
        env: { A: '1', FROM_IMAGE: 'yes' },
        memoryBytes: 64 * 1024 * 1024,
        workingDirectory: '/tmp',
        terminal: false,
      })
      const [first] = await engine.listProcesses(id, '-o pid,comm')
      expect(first).toEqual([String((await engine.inspectContainer(id)).pid), 'cat'])
      const exec = await engine.createExec(id, { argv: ['sh', '-c', 'exit 9'] })
      using attached = await engine.startExec(exec, { argv: ['sh', '-c', 'exit 9'] })
      await collect(attached)
      const controller = new AbortController()
      const actions = ['exec_die', 'die']
      const seen: string[] = []
      for await (const event of engine.containerEvents(id, { actions, sinceSeconds: 1 }, controller.signal)) {
        seen.push(`${event.action} ${event.attributes['exitCode']}`)
        // Its stdin ends with whoever holds it, and `cat` with that.
        if (event.attributes['execID'] === exec) holding[Symbol.dispose]()
        if (event.action === 'die') break
      }
      expect(seen).toEqual(['exec_die 9', 'die 0'])
    } finally {
      await engine.removeContainer(id)
    }
  })

  test('limits are the kernel’s', async () => {
    const hog = ['sh', '-c', 'head -c 100000000 /dev/zero | tail']
    const { code, container } = await runToEnd(hog, { memoryBytes: 16 * 1024 * 1024, processes: 16 })
    expect(code).not.toBe(0)
    expect(container.exitCode).toBe(code)
  })

  test('what is not there is told in the words of the registry', async () => {
    await expect(engine.inspectContainer('nothing')).rejects.toMatchObject({ code: 'container-not-found' })
    await expect(engine.inspectImage('cove-test/nothing:1')).rejects.toMatchObject({ code: 'image-not-found' })
    await expect(engine.createContainer({ image: 'cove-test/nothing:1' })).rejects.toMatchObject({
      code: 'image-not-found',
    })
    await expect(engine.startExec('nothing', { argv: ['true'] })).rejects.toMatchObject({ code: 'container-not-found' })
    const image1 = await engine.inspectImage(image)
    expect(image1).toMatchObject({ tags: [image], env: { FROM_IMAGE: 'yes' }, command: ['/bin/sh'] })
    await engine.removeImage('cove-test/nothing:1')
  })

  test('waiting ends with the signal, and the container stays', async () => {
    const { id } = await engine.createContainer({ image, network: 'none', command: ['sleep', '100'] })
    try {
      await engine.startContainer(id)
      const controller = new AbortController()
      const waiting = engine.waitContainer(id, controller.signal)
      controller.abort()
      await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
      expect((await engine.inspectContainer(id)).state).toBe('running')
    } finally {
      await engine.removeContainer(id)
    }
  })
})

test('an engine that is not there is said with what to do', async () => {
  const opening = openDockerEngine({ kind: 'unix', path: '/nonexistent/docker.sock' })
  await expect(opening).rejects.toMatchObject({ code: 'driver-failed', fix: expect.stringContaining('DOCKER_HOST') })
})
