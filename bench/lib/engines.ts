import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { missingForContainerd, TestContainerd } from '@cove/containerd-engine/testing'
import { missingForDockerd, TestDockerd } from '@cove/docker-engine/testing'
import { buildTemplate } from './build-template.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { findRuntime, smallRoot, type Runtime } from './raw-container.ts'
import { missingForVms } from './raw-vm.ts'

/** A daemon with one driver, with the engine that it needs, and a template that the driver takes. */
export interface EngineHouse extends AsyncDisposable {
  readonly daemon: Daemon
  readonly template: string
  /** Where it listens, for drivers of an engine. */
  readonly socket: string
}

const RUNTIMES: Readonly<Record<string, Runtime>> = { crun: 'crun', runc: 'runc', gvisor: 'runsc' }

/** Why the driver cannot be measured here; undefined when it can. */
export async function missingFor(driver: string): Promise<string | undefined> {
  if (driver === 'docker') return missingForDockerd()
  if (driver === 'containerd') return missingForContainerd()
  if (driver === 'qemu') return missingForVms()
  const runtime = RUNTIMES[driver]
  return runtime === undefined || (await findRuntime(runtime)) !== undefined ? undefined : `${runtime} is not installed`
}

/** Everything in it is gone when it is disposed of. */
export async function openEngineHouse(driver: string, storage = 'overlay2'): Promise<EngineHouse> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'cove-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const root = await smallRoot(folder)
  const flags = ['--drivers', driver, '--driver', driver]
  const env: NodeJS.ProcessEnv = {}
  let socket = ''
  if (driver === 'docker') {
    socket = stack.use(await TestDockerd.start([`--storage-driver=${storage}`])).socket
    env['DOCKER_HOST'] = `unix://${socket}`
  } else if (driver === 'containerd') {
    socket = stack.use(await TestContainerd.start()).socket
    flags.push('--containerd-address', socket)
  }
  const daemon = stack.use(await startDaemon(flags, env))
  const template = await buildTemplate(daemon, `directory:${root}`)
  const owned = stack.move()
  return { daemon, template, socket, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
