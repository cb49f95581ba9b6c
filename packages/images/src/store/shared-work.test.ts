import { describe, expect, it } from 'vitest'
import { Holds, type Hold } from './holds.ts'
import { SharedWork } from './shared-work.ts'

/** Work that goes on until it is let go, or stopped; then it still needs a moment. */
function scene() {
  const holds = new Holds<string>()
  const shared = new SharedWork<Hold, string>((hold) => hold.again())
  const told = { started: 0, stopped: 0 }
  const go = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const work = async (signal: AbortSignal, progress: (step: string) => void) => {
    told.started++
    begun.resolve()
    progress(`try ${told.started}`)
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    await Promise.race([go.promise, aborted])
    await new Promise((resolve) => setImmediate(resolve))
    if (signal.aborted) {
      told.stopped++
      throw signal.reason
    }
    return holds.take('it')
  }
  const join = async (signal: AbortSignal, progress = (_step: string) => {}) => {
    return await shared.join('key', { signal, progress }, work)
  }
  return { holds, shared, told, go: go.resolve, begun: begun.promise, join }
}

describe('shared work', () => {
  it('is done once, and everybody has a part of what comes of it', async () => {
    const { holds, told, go, begun, join } = scene()
    const { signal } = new AbortController()
    const steps: string[] = []
    const first = join(signal, (step) => steps.push(`first ${step}`))
    await begun
    const second = join(signal, (step) => steps.push(`second ${step}`))
    go()
    const [one, two] = await Promise.all([first, second])
    expect(steps).toEqual(['first try 1', 'second try 1'])
    expect(told.started).toBe(1)
    one[Symbol.dispose]()
    await new Promise((resolve) => setImmediate(resolve))
    expect(holds.has('it')).toBe(true)
    two[Symbol.dispose]()
    two[Symbol.dispose]()
    expect(holds.has('it')).toBe(false)
  })

  it('goes on while anybody waits, and has ended when the last one hears of it', async () => {
    const { told, begun, join } = scene()
    const [one, two] = [new AbortController(), new AbortController()]
    const [first, second] = [join(one.signal), join(two.signal)]
    await begun
    one.abort()
    await expect(first).rejects.toMatchObject({ code: 'cancelled' })
    expect(told.stopped).toBe(0)
    two.abort()
    await expect(second).rejects.toMatchObject({ code: 'cancelled' })
    expect(told).toEqual({ started: 1, stopped: 1 })
  })

  it('begins anew for who comes while a cancelled one comes to its end', async () => {
    const { told, go, begun, join } = scene()
    const stop = new AbortController()
    const first = join(stop.signal)
    await begun
    stop.abort()
    const second = join(new AbortController().signal)
    await expect(first).rejects.toMatchObject({ code: 'cancelled' })
    go()
    using _hold = await second
    expect(told).toEqual({ started: 2, stopped: 1 })
  })

  it('can be stopped as a whole', async () => {
    const { shared, told, begun, join } = scene()
    const waiting = join(new AbortController().signal)
    await begun
    const stopping = shared.stop(new Error('closing'))
    await expect(waiting).rejects.toThrow('closing')
    await stopping
    expect(told.stopped).toBe(1)
  })

  it('that another one could not do is tried in the own way, once', async () => {
    const shared = new SharedWork<Hold, void>((hold) => hold.again())
    const holds = new Holds<string>()
    const waiter = { signal: new AbortController().signal, progress: () => {} }
    const tried: string[] = []
    const fails = (who: string) => async () => {
      tried.push(who)
      await new Promise((resolve) => setImmediate(resolve))
      throw new Error(`${who} could not`)
    }
    const bad = shared.joinOrTry('key', waiter, fails('the first'))
    const good = shared.joinOrTry('key', waiter, async () => {
      tried.push('the second')
      return await Promise.resolve(holds.take('it'))
    })
    await expect(bad).rejects.toThrow('the first could not')
    using _held = await good
    expect(tried).toEqual(['the first', 'the second'])
    const both = [fails('the third'), fails('the fourth')].map((start) => shared.joinOrTry('key', waiter, start))
    expect(await Promise.allSettled(both)).toMatchObject([
      { reason: { message: 'the third could not' } },
      { reason: { message: 'the fourth could not' } },
    ])
  })
})
