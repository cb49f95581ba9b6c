import { CoveError } from '@cove/domain'
import type { Containerd } from '@cove/containerd-engine'
import type { Fault } from '../../src/conformance/index.ts'

/** `before`: the call never reaches containerd. `after`: it is carried out, and its answer is lost. */
type When = 'before' | 'after'

interface Step {
  readonly group: 'containers' | 'snapshots' | 'tasks'
  readonly method: string
}

const STEPS: readonly Step[] = [
  { group: 'containers', method: 'create' },
  { group: 'snapshots', method: 'prepare' },
  { group: 'tasks', method: 'create' },
  { group: 'tasks', method: 'start' },
]

/** Makes one call of each kind fail when it is told to. */
export class FaultyContainerd {
  readonly faults: readonly Fault[]
  #armed: { readonly step: Step; readonly when: When } | undefined

  constructor() {
    this.faults = STEPS.flatMap((step) =>
      (['before', 'after'] as const).map((when) => ({
        name: `${step.group}.${step.method} fails ${when} it is carried out`,
        arm: () => {
          this.#armed = { step, when }
        },
        disarm: () => {
          this.#armed = undefined
        },
      })),
    )
  }

  wrap(containerd: Containerd): Containerd {
    const groups = new Map(
      (['containers', 'snapshots', 'tasks'] as const).map((group) => [
        group as PropertyKey,
        this.#group(containerd, group),
      ]),
    )
    return new Proxy(containerd, {
      get: (target, name) => groups.get(name) ?? bound(target, Reflect.get(target, name)),
    })
  }

  #group(containerd: Containerd, group: Step['group']): object {
    return new Proxy<object>(containerd[group], {
      get: (target, name) => {
        const method: unknown = bound(target, Reflect.get(target, name))
        if (typeof method !== 'function') return method
        return async (...args: unknown[]): Promise<unknown> => {
          const armed = this.#armed?.step.group === group && this.#armed.step.method === name ? this.#armed : undefined
          if (armed?.when === 'before') throw fault()
          const answer: unknown = await Reflect.apply(method, target, args)
          if (armed !== undefined) throw fault()
          return answer
        }
      },
    })
  }
}

/** Private fields are found on the object itself only. */
function bound(target: object, value: unknown): unknown {
  return typeof value === 'function' ? value.bind(target) : value
}

function fault(): CoveError {
  return new CoveError('driver-failed', 'as the test wants it')
}
