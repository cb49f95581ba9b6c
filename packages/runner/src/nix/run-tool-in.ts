import { text } from 'node:stream/consumers'
import type { RunnerEnvironment } from '../environment/runner-environment.ts'
import type { RunTool } from './run-tool.ts'

/** Runs tools as processes of an environment: they end with this program too. */
export function runToolIn(environment: RunnerEnvironment): RunTool {
  return async ([program = '', ...args], { directory, onErrorLine }, signal) => {
    const proc = await environment.newProcess(program, ...args)
    proc.withDirectory(directory).withOutput((line) => {
      if (line.stream === 'stderr') onErrorLine(line.text)
    })
    const said = text(proc.stdoutPipe())
    // Only read when it has run: a start that fails ends the stream before it has begun.
    said.catch(() => {})
    const exit = await proc.run(signal)
    return { stdout: await said, exit }
  }
}
