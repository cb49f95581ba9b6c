import type { Readable } from 'node:stream'
import { CoveError } from '@cove/domain'
import type { RunnerEnvironment } from '../environment/runner-environment.ts'
import type { RunTool } from './run-tool.ts'

const MOST_BYTES = 16 * 1024 * 1024
/** Of a line that is told. */
const MOST_LINE = 1000

/** Runs tools as processes of an environment: they end with this program too. */
export function runToolIn(environment: RunnerEnvironment): RunTool {
  return async ([program = '', ...args], { directory, onErrorLine }, signal) => {
    const proc = await environment.newProcess(program, ...args)
    proc.withDirectory(directory).withOutput((line) => {
      if (line.stream === 'stderr') onErrorLine(line.text.slice(0, MOST_LINE))
    })
    const said = readText(proc.stdoutPipe())
    // Only read when it has run: a start that fails ends the stream before it has begun.
    said.catch(() => {})
    const exit = await proc.run(signal)
    return { stdout: await said, exit }
  }
}

/** `limit-reached` for what says more than a tool may; all of it is taken, so that it ends. */
async function readText(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= MOST_BYTES) chunks.push(chunk)
    else chunks.length = 0
  }
  if (size > MOST_BYTES) throw new CoveError('limit-reached', `it says more than ${MOST_BYTES} bytes`)
  return Buffer.concat(chunks).toString('utf8')
}
