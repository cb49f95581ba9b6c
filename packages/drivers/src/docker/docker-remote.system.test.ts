import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import { freePort } from '../../test/support/free-port.ts'
import { noDocker, openDockerRig } from '../../test/support/docker-rig.ts'
import { createChapter } from '../conformance/create.ts'
import { disksChapter } from '../conformance/disks.ts'
import { execChapter } from '../conformance/exec.ts'
import { guestStreamChapter } from '../conformance/guest-stream.ts'
import { recoverChapter } from '../conformance/recover.ts'
import { Stage } from '../conformance/index.ts'

if (noDocker !== undefined) console.log(`skipped: a Docker Engine over TCP: ${noDocker}`)

describe.skipIf(noDocker !== undefined)('driver docker, over TCP', () => {
  const stage = new Stage(async () => {
    const port = await freePort()
    return openDockerRig({
      flags: [`--host=tcp://127.0.0.1:${port}`, '--tls=false'],
      address: { kind: 'tcp', host: '127.0.0.1', port },
    })
  })
  beforeAll(() => stage.open())
  afterAll(() => stage.close())
  afterEach(() => stage.expectCleared())
  createChapter(stage)
  guestStreamChapter(stage)
  execChapter(stage)
  disksChapter(stage)
  recoverChapter(stage)
})
