import { CoveError } from '@cove/domain'
import type { ContainerSpec, DockerEngine } from '@cove/docker-engine'
import { DEFAULT_PATH } from '../environment/environment-layers.ts'
import { findInContainer } from './find-in-container.ts'

/**
 * What stays up and does nothing, the best first. All but the last two read a stdin that nobody writes to, and so end
 * with whoever holds it.
 */
const PAUSES: readonly (readonly [string, ...string[]])[] = [
  ['cat'],
  ['sh', '-c', 'while read -r _; do :; done'],
  ['sleep', '2147483647'],
  ['tail', '-f', '/dev/null'],
]

/**
 * Makes a container that pauses with a program that its image has. Its stdin stays open for ever, or, `untilGone`, until
 * the one who attaches to it has gone.
 */
export async function createPaused(
  engine: DockerEngine,
  spec: ContainerSpec,
  untilGone: boolean,
  signal: AbortSignal,
): Promise<string> {
  for (const [program, ...args] of PAUSES) {
    const stdin = untilGone ? 'once' : 'always'
    const { id } = await engine.createContainer({ ...spec, entrypoint: [program], command: args, stdin }, signal)
    try {
      const { env } = await engine.inspectContainer(id, signal)
      const path = env['PATH'] ?? DEFAULT_PATH
      if ((await findInContainer(engine, id, program, { path, directory: '/' }, signal)) !== undefined) return id
    } catch (error) {
      await engine.removeContainer(id)
      throw error
    }
    await engine.removeContainer(id)
  }
  throw new CoveError(
    'unsupported',
    `the image ${spec.image} has nothing with which a container could pause`,
    { image: spec.image },
    { fix: 'Name a `command` of the image that stays up, in place of `pause`.' },
  )
}
