import type { ContainerSummary } from '@cove/docker-engine'
import type { Recovered } from '@cove/domain'
import { isAlive } from './container-watch.ts'
import type { EngineParts } from './engine-parts.ts'
import { limitsOf } from './limits.ts'
import type { MachineMaker } from './machine-maker.ts'
import { endOf } from './machine.ts'
import { KIND, LABEL, type Names } from './names.ts'
import { unlessMissing } from './unless-missing.ts'

const AT_ONCE = 8

/** Every machine of an installation that the engine knows of, by the names of its containers. */
export async function* recoverMachines(
  parts: EngineParts,
  names: Names,
  maker: MachineMaker,
): AsyncGenerator<Recovered> {
  const all = await parts.engine.listContainers(names.labels(KIND.machine))
  const saved = await parts.engine.listImages({ reference: `${names.saved}:*` })
  const reading = new Set(saved.flatMap(({ tags }) => tags))
  for (let at = 0; at < all.length; at += AT_ONCE) {
    const found = all.slice(at, at + AT_ONCE).map((summary) => recovered(parts, names, maker, summary, reading))
    for (const each of await Promise.all(found)) if (each !== undefined) yield each
  }
}

async function recovered(
  parts: EngineParts,
  names: Names,
  maker: MachineMaker,
  summary: ContainerSummary,
  reading: ReadonlySet<string>,
): Promise<Recovered | undefined> {
  const { engine } = parts
  const role = names.roleOf(summary.names)
  if (role === undefined) return undefined
  if ('freeDisk' in role) {
    // A daemon was killed between its start and its name.
    if (isAlive(summary)) await engine.signalContainer(summary.id, 'SIGKILL').catch(() => undefined)
    return undefined
  }
  const id = role.machine
  if (summary.state === 'paused' && reading.has(`${names.saved}:${names.readingTag(id)}`)) {
    await engine.resumeContainer(summary.id)
  }
  const container = await engine.inspectContainer(summary.id).catch(unlessMissing)
  if (container === undefined) return undefined
  if (isAlive(container)) {
    const limits = limitsOf(container, container.labels[LABEL.limits])
    return { kind: 'running', machine: maker.machine(parts, id, container, limits) }
  }
  if (container.state !== 'exited' && container.state !== 'dead') return { kind: 'partial', id }
  return { kind: 'exited', id, exit: await endOf(engine, container, { container, exitCode: container.exitCode }) }
}
