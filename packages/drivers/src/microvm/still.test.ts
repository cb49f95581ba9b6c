import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Still } from './still.ts'

interface Some {
  stopped: boolean
  readonly still: Still
}

function machine(stopped = false): Some {
  const set = async (value: boolean) => {
    await Promise.resolve()
    some.stopped = value
  }
  const some: Some = {
    stopped,
    still: new Still({ stop: () => set(true), goOn: () => set(false), isStopped: () => Promise.resolve(some.stopped) }),
  }
  return some
}

describe('a machine that stands still', () => {
  it('goes on when the last one who looked at it is done, and no earlier', async () => {
    const some = machine()
    const [one, two] = await Promise.all([some.still.hold(), some.still.hold()])
    expect(some.stopped).toBe(true)
    await one[Symbol.asyncDispose]()
    await one[Symbol.asyncDispose]()
    expect(some.stopped).toBe(true)
    await two[Symbol.asyncDispose]()
    expect(some.stopped).toBe(false)
  })

  it('stays so when it was paused, before or meanwhile, until it is resumed', async () => {
    const some = machine(true)
    await (await some.still.hold())[Symbol.asyncDispose]()
    expect(some.stopped).toBe(true)
    const held = await some.still.hold()
    await some.still.resume()
    expect(some.stopped).toBe(true)
    await held[Symbol.asyncDispose]()
    expect(some.stopped).toBe(false)
  })

  it('stands still as long as anybody wants that, whatever comes in which order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('pause', 'resume', 'hold', 'release'), { maxLength: 30 }),
        async (steps) => {
          const some = machine()
          const held: AsyncDisposable[] = []
          let paused = false
          for (const step of steps) {
            if (step === 'hold') held.push(await some.still.hold())
            else if (step === 'release') await held.shift()?.[Symbol.asyncDispose]()
            else {
              await some.still[step]()
              paused = step === 'pause'
            }
            expect(some.stopped).toBe(paused || held.length > 0)
          }
        },
      ),
    )
  })
})
