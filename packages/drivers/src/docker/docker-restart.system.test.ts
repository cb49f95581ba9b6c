import type { ProcessId, Recovered } from '@cove/domain'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { noDocker, openDockerRig, type DockerRig } from '../../test/support/docker-rig.ts'
import { codeOf, soon, Stage } from '../conformance/index.ts'

if (noDocker !== undefined) console.log(`skipped: a Docker Engine that is killed: ${noDocker}`)

const PATIENCE = { timeout: 20_000, interval: 100 }

function openStage(flags: readonly string[]): { stage: Stage; rig: () => DockerRig } {
  let rig: DockerRig | undefined
  const stage = new Stage(async () => {
    rig = await openDockerRig({ flags })
    return rig
  })
  beforeAll(() => stage.open())
  afterAll(() => stage.close())
  afterEach(() => stage.expectCleared())
  return {
    stage,
    rig: () => {
      if (rig === undefined) throw new Error('the stage is not open')
      return rig
    },
  }
}

describe.skipIf(noDocker !== undefined)('an engine that keeps machines while it is away', () => {
  const { stage, rig } = openStage(['--live-restore'])

  it('is killed and comes back: machines, their processes and unread output are there, and ends are told', async () => {
    const machine = await stage.create()
    const link = await stage.link(machine)
    const id = 'survivor' as ProcessId
    await link.start({ id, argv: ['/bin/sh', '-c', 'echo before; sleep 1; echo during; sleep 1000'], env: {} })
    await rig().daemon.end('SIGKILL')
    expect(await codeOf(machine.connectGuest(AbortSignal.timeout(10_000)))).toBe('guest-unreachable')
    await rig().daemon.startAgain()
    const again = await stage.link(machine)
    expect(again.instance).toBe(link.instance)
    let output = ''
    for await (const event of (await again.attach(id, 0)).events) {
      if (event.type === 'output') output += Buffer.from(event.data).toString()
      if (output.includes('during')) break
    }
    expect(output).toBe('before\nduring\n')
    const expected = await rig().killGuest(machine.id)
    expect(await soon(machine.exited, 'the end of the machine')).toEqual(expected)
  })

  it('is killed together with this daemon: the next one adopts what runs and tells what has ended', async () => {
    const [stays, ends] = [await stage.create(), await stage.create()]
    const { instance } = await stage.link(stays)
    const { pid } = await containerOf(rig(), ends.id)
    await stage.closeLinks()
    await rig().daemon.end('SIGKILL')
    process.kill(pid, 'SIGKILL')
    await rig().daemon.startAgain()
    await stage.restart()
    const found = await Array.fromAsync(stage.driver.recover())
    const kinds = Object.fromEntries(found.map((each) => [idOf(each), each.kind]))
    expect(kinds).toEqual({ [stays.id]: 'running', [ends.id]: 'exited' })
    const ended = found.find((each) => each.kind === 'exited')
    // Whoever could have seen it was dead; engines tell what their helper made of it.
    expect(ended?.kind === 'exited' && ended.exit.kind).not.toBe('exited')
    const adopted = found.find((each) => each.kind === 'running')
    if (adopted?.kind !== 'running') throw new Error('nothing was adopted')
    expect((await stage.link(adopted.machine)).instance).toBe(instance)
  })

  it('is killed in the middle of creates: nothing is half there for ever', async () => {
    const ids = Array.from({ length: 4 }, () => stage.newId())
    const outcomes = ids.map((id) => codeOf(stage.create({}, id)))
    await expect.poll(async () => (await rig().engine.listContainers({})).length, PATIENCE).toBeGreaterThan(0)
    await rig().daemon.end('SIGKILL')
    const told = await Promise.all(outcomes)
    await rig().daemon.startAgain()
    await stage.restart()
    const found = await Array.fromAsync(stage.driver.recover())
    const made = ids.filter((_, index) => told[index] === 'no error')
    const running = found.filter((each) => each.kind === 'running').map(idOf)
    expect(made.filter((id) => !running.includes(id))).toEqual([])
    for (const id of ids) await stage.driver.destroy(id)
    expect(await rig().leftovers()).toEqual([])
  })
})

describe.skipIf(noDocker !== undefined)('an engine whose machines end with it', () => {
  const { stage, rig } = openStage([])

  it('is stopped: the ends of the machines are told as the engine tells them, and disks are kept', async () => {
    const disk = stage.newDisk()
    const machine = await stage.create({ disk })
    await stage.shell(await stage.link(machine), 'echo kept > /home/user/note')
    await stage.closeLinks()
    await rig().daemon.end('SIGTERM')
    await rig().daemon.startAgain()
    expect(await soon(machine.exited, 'the end of the machine')).toEqual({ kind: 'exited', code: 0 })
    await stage.driver.destroy(machine.id)
    const next = await stage.link(await stage.create({ disk }))
    expect((await stage.shell(next, 'cat /home/user/note')).stdout).toBe('kept\n')
  })

  it('is killed: the one that comes back ends them, and that is what is told', async () => {
    const machine = await stage.create()
    await stage.link(machine)
    await stage.closeLinks()
    await rig().daemon.end('SIGKILL')
    await rig().daemon.startAgain()
    const exit = await soon(machine.exited, 'the end of the machine')
    const { exitCode } = await containerOf(rig(), machine.id)
    // The next engine has asked what it found to end.
    expect([exit, exitCode]).toEqual([{ kind: 'exited', code: 0 }, 0])
  })
})

async function containerOf(rig: DockerRig, id: string) {
  const found = (await rig.engine.listContainers({})).find(({ names }) => names.some((name) => name.endsWith(id)))
  return rig.engine.inspectContainer(found?.id ?? '')
}

const idOf = (found: Recovered): string => (found.kind === 'running' ? found.machine.id : found.id)
