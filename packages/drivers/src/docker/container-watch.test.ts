import type { Container, DockerEngine } from '@cove/docker-engine'
import { silentLog } from '@cove/domain'
import { expect, it } from 'vitest'
import { ContainerWatch } from './container-watch.ts'
import { Names } from './names.ts'

const never = (signal?: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal?.addEventListener('abort', () => reject(new Error('given up')))
  })

it('asks again when the connection to the engine was dead and nobody said so', async () => {
  let asked = 0
  const ended = { id: 'c', startedAt: 'then', state: 'exited', exitCode: 3 } as Container
  // Only what a watch asks for.
  const engine: Pick<DockerEngine, 'listContainers' | 'inspectContainer' | 'labelledEvents'> = {
    listContainers: async (_labels, signal) => ((asked += 1) <= 2 ? never(signal) : []),
    inspectContainer: async () => ended,
    async *labelledEvents(_labels, _options, signal) {
      yield await never(signal)
    },
  }
  const watch = new ContainerWatch(engine, new Names('abcd1234'), silentLog, 20)
  const end = watch.follow({ id: 'c', startedAt: 'then' })
  expect(await end).toEqual({ container: ended, exitCode: 3 })
  await watch[Symbol.asyncDispose]()
})
