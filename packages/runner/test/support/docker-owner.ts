/** A program that uses a container and never comes to its end: `<socket> <phase> <options as JSON>`. */
import { openDockerEngine } from '@cove/docker-engine'
import type { DockerEnvironmentOptions } from '../../src/docker/docker-options.ts'
import { openDockerEnvironment } from '../../src/docker/open-docker-environment.ts'
import { changedEngine } from './changed-engine.ts'

const [, , socket = '', phase = '', json = '{}'] = process.argv
const options = JSON.parse(json) as DockerEnvironmentOptions
const real = await openDockerEngine({ kind: 'unix', path: socket })

/** Says how far it has come, and stays there. */
const stay = async (said: string): Promise<never> => {
  process.stdout.write(`${said}\n`)
  setInterval(() => {}, 1000)
  return await new Promise<never>(() => {})
}

const engine = changedEngine(real, {
  ...(phase === 'create' ? { startContainer: () => stay('create') } : {}),
  ...(phase === 'start'
    ? { startContainer: async (id, signal) => (await real.startContainer(id, signal), await stay('start')) }
    : {}),
  ...(phase === 'exec'
    ? { startExec: async (id, spec, signal) => (await real.startExec(id, spec, signal), await stay('exec')) }
    : {}),
})
const environment = await openDockerEnvironment({ ...options, engine })
await environment.init()
const proc = await environment.newProcess('sh', '-c', 'sleep 1000 & sleep 1000; exit')
await proc.start()
await stay('run')
