import { describe, expect, it } from 'vitest'
import { AsyncDisposableStackShim, DisposableStackShim, SuppressedErrorShim } from './disposable-stacks.ts'

/** Failures as text, the same for the shim's and for the engine's own. */
function inWords(error: unknown): string {
  if (error instanceof SuppressedErrorShim || error instanceof SuppressedError) {
    return `${inWords(error.error)} over ${inWords(error.suppressed)}`
  }
  return error instanceof Error ? `${error.name}${error.constructor === Error ? `: ${error.message}` : ''}` : 'no error'
}

/** With arguments that the types forbid. */
const misuse = (stack: object, method: string, ...args: readonly unknown[]): unknown =>
  Reflect.apply(Reflect.get(stack, method) as () => unknown, stack, args)

/** The same story for the engine's class and for ours: the protocol of what happened. */
async function asyncStory(Stack: typeof AsyncDisposableStack | typeof AsyncDisposableStackShim): Promise<string[]> {
  const told: string[] = []
  const tell = (line: string) => void told.push(line)
  const attempt = async (work: () => unknown) => {
    try {
      await work()
      tell('went well')
    } catch (error) {
      tell(inWords(error))
    }
  }
  const stack = new Stack()
  tell(Object.prototype.toString.call(stack))
  stack.defer(() => tell('deferred'))
  stack.use({ [Symbol.dispose]: () => tell('synchronous') })
  stack.use({
    [Symbol.asyncDispose]: async () => {
      await Promise.resolve()
      tell('asynchronous')
    },
  })
  stack.use(null)
  stack.use(undefined)
  tell(String(stack.adopt(7, (value) => tell(`adopted ${value}`))))
  stack.defer(() => Promise.reject(new Error('first')))
  stack.defer(() => {
    throw new Error('second')
  })
  await attempt(() => misuse(stack, 'use', {}))
  await attempt(() => misuse(stack, 'defer', 1))
  const moved = stack.move()
  tell(`${stack.disposed} ${moved.disposed}`)
  await attempt(() => stack.disposeAsync())
  await attempt(() => stack.defer(() => {}))
  await attempt(() => moved[Symbol.asyncDispose]())
  await attempt(() => moved.disposeAsync())
  await attempt(() => moved.move())
  return told
}

async function syncStory(Stack: typeof DisposableStack | typeof DisposableStackShim): Promise<string[]> {
  const told: string[] = []
  const attempt = (work: () => unknown) => {
    try {
      work()
      told.push('went well')
    } catch (error) {
      told.push(inWords(error))
    }
  }
  const stack = new Stack()
  told.push(Object.prototype.toString.call(stack))
  stack.use({ [Symbol.dispose]: () => void told.push('used') })
  stack.use(null)
  stack.adopt('x', (value) => void told.push(`adopted ${value}`))
  stack.defer(() => {
    throw new Error('first')
  })
  stack.defer(() => {
    throw new Error('second')
  })
  attempt(() => misuse(stack, 'use', {}))
  attempt(() => misuse(stack, 'adopt', 1, 1))
  const moved = stack.move()
  attempt(() => stack.use(null))
  attempt(() => stack.dispose())
  attempt(() => moved[Symbol.dispose]())
  attempt(() => moved.dispose())
  told.push(`${stack.disposed} ${moved.disposed}`)
  return told
}

describe('the stacks that Node 22 lacks', () => {
  it('do asynchronously what the engine does', async () => {
    expect(await asyncStory(AsyncDisposableStackShim)).toEqual(await asyncStory(AsyncDisposableStack))
  })

  it('do synchronously what the engine does', async () => {
    expect(await syncStory(DisposableStackShim)).toEqual(await syncStory(DisposableStack))
  })

  it("leave the engine's own alone", () => {
    expect(AsyncDisposableStack).not.toBe(AsyncDisposableStackShim)
    expect(String(AsyncDisposableStack)).toContain('native code')
  })
})
