import type { DockerEngine } from '@cove/docker-engine'
import { CoveError } from '@cove/domain'
import type { Fault } from '../../src/conformance/index.ts'

type Verb = 'createContainer' | 'startContainer' | 'inspectContainer' | 'renameContainer' | 'loadImage'
const broken = () => new CoveError('driver-failed', 'the Docker Engine does not answer (broken for a test)')

type When = 'before' | 'after'

/** Breaks requests to an engine on request: before the engine hears of them, or when it has done what they ask. */
export class EngineFaults {
  #verb: Verb | undefined
  #when: When = 'before'
  #times = 0

  readonly faults: readonly Fault[] = [
    this.#fault('a container that cannot be started', 'startContainer', 'before'),
    this.#fault('an answer that is lost when the container is started', 'startContainer', 'after'),
    this.#fault('a container that cannot be made', 'createContainer', 'before'),
    this.#fault('an answer that is lost when the container is made', 'createContainer', 'after'),
    this.#fault('a container that cannot be looked at', 'inspectContainer', 'before', 1),
  ]

  /** The next requests of this kind fail. */
  arm(verb: Verb, when: When, times = Infinity): void {
    this.#verb = verb
    this.#when = when
    this.#times = times
  }

  disarm(): void {
    this.#verb = undefined
  }

  wrap(engine: DockerEngine): DockerEngine {
    return new Proxy(engine, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        return (...words: readonly unknown[]): unknown => {
          const spoiled = this.#verb === name && this.#times > 0
          if (spoiled) this.#times -= 1
          if (spoiled && this.#when === 'before') throw broken()
          const result: unknown = Reflect.apply(value, target, words)
          if (!spoiled) return result
          return Promise.resolve(result).then(() => {
            throw broken()
          })
        }
      },
    })
  }

  #fault(name: string, verb: Verb, when: When, times = Infinity): Fault {
    return { name, arm: () => this.arm(verb, when, times), disarm: () => this.disarm() }
  }
}
