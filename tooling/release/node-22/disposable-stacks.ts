/**
 * What Cove's source takes for granted and Node 22 does not have yet: `SuppressedError`, `DisposableStack` and
 * `AsyncDisposableStack`, as ECMAScript specifies them. The bundle runs this before anything else; a later Node keeps
 * its own.
 */

type Step<Result> = () => Result

export class SuppressedErrorShim extends Error {
  readonly error: unknown
  readonly suppressed: unknown

  constructor(error: unknown, suppressed: unknown, message?: string) {
    super(message)
    this.name = 'SuppressedError'
    this.error = error
    this.suppressed = suppressed
  }
}

/** The first failure, wrapped by each one that follows. */
class Failures {
  #failed = false
  #error: unknown

  add(error: unknown): void {
    this.#error = this.#failed ? new SuppressedErrorShim(error, this.#error) : error
    this.#failed = true
  }

  throwIfAny(): void {
    if (this.#failed) throw this.#error
  }
}

export class DisposableStackShim {
  #steps: Step<unknown>[] = []
  #disposed = false

  get disposed(): boolean {
    return this.#disposed
  }

  use<Resource extends Disposable | null | undefined>(resource: Resource): Resource {
    this.#refuseWhenDisposed()
    if (resource === null || resource === undefined) return resource
    const dispose = methodOf(resource, Symbol.dispose)
    this.#steps.push(() => dispose.call(resource))
    return resource
  }

  adopt<Value>(value: Value, onDispose: (value: Value) => void): Value {
    this.#refuseWhenDisposed()
    refuseUncallable(onDispose)
    this.#steps.push(() => onDispose(value))
    return value
  }

  defer(onDispose: () => void): void {
    this.#refuseWhenDisposed()
    refuseUncallable(onDispose)
    this.#steps.push(() => onDispose())
  }

  move(): DisposableStackShim {
    this.#refuseWhenDisposed()
    const moved = new DisposableStackShim()
    moved.#steps = this.#steps
    this.#steps = []
    this.#disposed = true
    return moved
  }

  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    const failures = new Failures()
    for (const step of this.#steps.splice(0).toReversed()) {
      try {
        step()
      } catch (error) {
        failures.add(error)
      }
    }
    failures.throwIfAny()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  get [Symbol.toStringTag](): string {
    return 'DisposableStack'
  }

  #refuseWhenDisposed(): void {
    if (this.#disposed) throw new ReferenceError('this stack has been disposed')
  }
}

export class AsyncDisposableStackShim {
  #steps: Step<unknown>[] = []
  #disposed = false

  get disposed(): boolean {
    return this.#disposed
  }

  use<Resource extends AsyncDisposable | Disposable | null | undefined>(resource: Resource): Resource {
    this.#refuseWhenDisposed()
    if (resource === null || resource === undefined) {
      this.#steps.push(() => undefined)
      return resource
    }
    if (Symbol.asyncDispose in resource) {
      const dispose = methodOf(resource, Symbol.asyncDispose)
      this.#steps.push(() => dispose.call(resource))
      return resource
    }
    const dispose = methodOf(resource, Symbol.dispose)
    // What a synchronous one returns is not waited for.
    this.#steps.push(() => void dispose.call(resource))
    return resource
  }

  adopt<Value>(value: Value, onDispose: (value: Value) => unknown): Value {
    this.#refuseWhenDisposed()
    refuseUncallable(onDispose)
    this.#steps.push(() => onDispose(value))
    return value
  }

  defer(onDispose: () => unknown): void {
    this.#refuseWhenDisposed()
    refuseUncallable(onDispose)
    this.#steps.push(() => onDispose())
  }

  move(): AsyncDisposableStackShim {
    this.#refuseWhenDisposed()
    const moved = new AsyncDisposableStackShim()
    moved.#steps = this.#steps
    this.#steps = []
    this.#disposed = true
    return moved
  }

  async disposeAsync(): Promise<void> {
    if (this.#disposed) return
    this.#disposed = true
    const failures = new Failures()
    for (const step of this.#steps.splice(0).toReversed()) {
      try {
        await step()
      } catch (error) {
        failures.add(error)
      }
    }
    failures.throwIfAny()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disposeAsync()
  }

  get [Symbol.toStringTag](): string {
    return 'AsyncDisposableStack'
  }

  #refuseWhenDisposed(): void {
    if (this.#disposed) throw new ReferenceError('this stack has been disposed')
  }
}

function methodOf(resource: object, name: symbol): (...args: never[]) => unknown {
  const method: unknown = Reflect.get(resource, name)
  refuseUncallable(method)
  return method
}

function refuseUncallable(value: unknown): asserts value is (...args: never[]) => unknown {
  if (typeof value !== 'function') throw new TypeError('this is no function')
}

const SHIMS = {
  SuppressedError: SuppressedErrorShim,
  DisposableStack: DisposableStackShim,
  AsyncDisposableStack: AsyncDisposableStackShim,
}
for (const [name, value] of Object.entries(SHIMS)) {
  if (Reflect.has(globalThis, name)) continue
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false })
}
