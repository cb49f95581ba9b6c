import { afterAll, beforeAll } from 'vitest'
import type { DockerEngine } from '@cove/docker-engine'
import { missingForDockerd, TestDockerd } from '@cove/docker-engine/testing'
import { describeRunner } from '../conformance/index.ts'
import { openDockerEnvironment } from './open-docker-environment.ts'

const missing = missingForDockerd()
const directory = '/work'
let daemon: TestDockerd
let engine: DockerEngine
let count = 0

beforeAll(async () => {
  if (missing !== undefined) return
  daemon = await TestDockerd.start()
  engine = await daemon.open()
})
afterAll(async () => {
  engine?.[Symbol.dispose]()
  await daemon?.[Symbol.asyncDispose]()
})

describeRunner({
  name: 'docker',
  missing,
  capabilities: {
    programsAreLookedUp: 'at start',
    takesForeignBinaries: false,
    inheritsVariables: false,
    findsDetached: true,
    closesOutputOfLeftovers: true,
  },
  async open() {
    count += 1
    const environment = await openDockerEnvironment({
      name: `conformance-${count}`,
      image: TestDockerd.image,
      installation: 'test',
      network: 'none',
      pause: true,
      directory,
      engine,
    })
    return { environment, directory, [Symbol.asyncDispose]: () => environment.shutdown() }
  },
})
