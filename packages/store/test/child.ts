import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A process of its own that runs a program of this directory. */
export interface Child extends AsyncDisposable {
  readonly process: ChildProcess
  readonly lines: AsyncIterator<string>
  /** Ends it as the kernel would, and waits until it is gone. */
  kill(): Promise<void>
}

export function startChild(program: 'writer' | 'holder', args: readonly string[]): Child {
  const script = fileURLToPath(new URL(`./${program}.ts`, import.meta.url))
  const child = spawn(process.execPath, ['--no-warnings', script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await exited
  }
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return { process: child, lines, kill, [Symbol.asyncDispose]: kill }
}

/** The next line, or an error when the child has said its last. */
export async function nextLine(child: Child): Promise<string> {
  const line = await child.lines.next()
  if (line.done === true) throw new Error('the child ended without a word')
  return line.value
}
