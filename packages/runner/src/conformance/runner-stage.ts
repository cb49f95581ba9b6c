import { CoveError, describeExit, type Exit } from '@cove/domain'
import type { Line } from '../environment/line.ts'
import type { Proc } from '../environment/proc.ts'
import type { RunnerRig, RunnerSubject } from './runner-subject.ts'

export const SUCCESS: Exit = { kind: 'exited', code: 0 }

/** What the chapters share. */
export class RunnerStage implements AsyncDisposable {
  readonly rig: RunnerRig

  private constructor(rig: RunnerRig) {
    this.rig = rig
  }

  static async open(subject: RunnerSubject): Promise<RunnerStage> {
    const rig = await subject.open()
    try {
      await rig.environment.init()
      return new RunnerStage(rig)
    } catch (error) {
      await rig[Symbol.asyncDispose]()
      throw error
    }
  }

  get environment(): RunnerRig['environment'] {
    return this.rig.environment
  }

  shell(script: string, ...args: readonly string[]): Promise<Proc> {
    return this.environment.newProcess('sh', '-c', script, 'sh', ...args)
  }

  /** Runs a script to its end, with what it has said on stdout. */
  async say(script: string, ...args: readonly string[]): Promise<string> {
    const proc = await this.shell(script, ...args)
    const lines = collect(proc)
    const exit = await proc.run()
    if (codeOfExit(exit) !== 0) throw new Error(`${script} ${describeExit(exit)}: ${textOf(lines, 'stderr')}`)
    return textOf(lines, 'stdout')
  }

  /** Inside, and not as a zombie. */
  async isAlive(pid: string): Promise<boolean> {
    const proc = await this.shell('[ -e "/proc/$1" ] && ! grep -q "^State:.[ZX]" "/proc/$1/status"', pid)
    return codeOfExit(await proc.run()) === 0
  }

  async waitUntilGone(pid: string): Promise<void> {
    const deadline = performance.now() + 10_000
    while (await this.isAlive(pid)) if (performance.now() > deadline) throw new Error(`${pid} is still there`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig[Symbol.asyncDispose]()
  }
}

/** Every line from the start on. */
export function collect(proc: Proc): Line[] {
  const lines: Line[] = []
  proc.withOutput((line) => {
    lines.push(line)
  })
  return lines
}

export function textOf(lines: readonly Line[], stream: Line['stream']): string {
  return lines
    .filter((line) => line.stream === stream)
    .map((line) => (line.continued ? line.text : `${line.text}\n`))
    .join('')
}

/** Resolves with the first line of stdout that passes. */
export async function lineOf(proc: Proc, pattern: RegExp = /./): Promise<string> {
  for await (const line of proc.lines()) if (line.stream === 'stdout' && pattern.test(line.text)) return line.text
  throw new Error(`it ended without a line like ${pattern.source}`)
}

export async function codeOf(call: () => Promise<unknown>): Promise<string> {
  try {
    await call()
    return 'no error'
  } catch (error) {
    return CoveError.from(error).code
  }
}

export const codeOfExit = (exit: Exit): number | undefined => (exit.kind === 'exited' ? exit.code : undefined)
