import type { DockerEngine } from '@cove/docker-engine'

/** The same engine, with some of its calls replaced. */
export function changedEngine(engine: DockerEngine, changes: Partial<DockerEngine>): DockerEngine {
  return new Proxy(engine, {
    get(target, name) {
      if (Reflect.has(changes, name)) return Reflect.get(changes, name) as unknown
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** One that cannot be seen from here, as on another machine: only what it answers itself can be used. */
export function distantEngine(engine: DockerEngine): DockerEngine {
  return changedEngine(engine, {
    inspectContainer: async (container, signal) => ({ ...(await engine.inspectContainer(container, signal)), pid: 0 }),
  })
}
