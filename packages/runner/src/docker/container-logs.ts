import type { DockerEngine } from '@cove/docker-engine'
import type { Line } from '../environment/line.ts'
import { LineSplitter } from '../environment/line-splitter.ts'

/** Lines of a container's own first process, each stream in its order. */
export async function* readContainerLogs(
  engine: DockerEngine,
  container: string,
  { follow = false, tail }: { readonly follow?: boolean; readonly tail?: number },
  signal?: AbortSignal,
): AsyncGenerator<Line> {
  const { terminal, id } = await engine.inspectContainer(container, signal)
  const options = { follow, terminal, ...(tail === undefined ? {} : { tail }) }
  const splitters = { stdout: new LineSplitter('stdout'), stderr: new LineSplitter('stderr') }
  for await (const { stream, data } of await engine.containerLogs(id, options, signal))
    yield* splitters[stream].push(data)
  yield* splitters.stdout.end()
  yield* splitters.stderr.end()
}
