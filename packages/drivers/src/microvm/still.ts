/** How a machine is stopped and goes on. */
export interface Stopping {
  stop(): Promise<void>
  goOn(): Promise<void>
  isStopped(): Promise<boolean>
}

/**
 * Who wants a machine to stand still: whoever has paused it, and everybody who looks at it meanwhile. It goes on when the
 * last of them is done, unless it has been paused.
 */
export class Still {
  readonly #machine: Stopping
  #holders = 0
  #goesOn = false
  #order: Promise<unknown> = Promise.resolve()

  constructor(machine: Stopping) {
    this.#machine = machine
  }

  pause(): Promise<void> {
    return this.#inOrder(async () => {
      this.#goesOn = false
      await this.#machine.stop()
    })
  }

  resume(): Promise<void> {
    return this.#inOrder(async () => {
      this.#goesOn = true
      if (this.#holders === 0) await this.#machine.goOn()
    })
  }

  /** Stands still until the result is disposed of, which fails when the machine then does not go on. */
  async hold(): Promise<AsyncDisposable> {
    await this.#inOrder(async () => {
      if (this.#holders === 0) {
        this.#goesOn = !(await this.#machine.isStopped())
        if (this.#goesOn) await this.#machine.stop()
      }
      this.#holders++
    })
    let held = true
    return {
      [Symbol.asyncDispose]: async () => {
        if (!held) return
        held = false
        await this.#inOrder(async () => {
          this.#holders--
          if (this.#holders === 0 && this.#goesOn) await this.#machine.goOn()
        })
      },
    }
  }

  #inOrder<Value>(step: () => Promise<Value>): Promise<Value> {
    const done = this.#order.then(step)
    this.#order = done.catch(() => undefined)
    return done
  }
}
