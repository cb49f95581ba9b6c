import { CoveError, describeExit, formatBytes, formatDuration, type Exit } from '@cove/domain'
import * as z from 'zod'
import type { CodeResult } from '../../../runtimes/runtimes.ts'
import type { ToolCall } from '../call.ts'
import { MCP_LIMITS } from '../settings.ts'
import { outputText } from '../text.ts'
import { defineTool } from '../tool.ts'
import { environmentId, exitFacts, runtime } from './arguments.ts'
import { findEnvironment, runtimeOf } from './environment.ts'

const resultFacts = z.object({
  stdout: z.string(),
  stderr: z.string(),
  ...exitFacts,
  timed_out: z.boolean(),
  duration_ms: z.number().int(),
  timeout_seconds: z.number().describe('The time that it was given.'),
  truncated: z.boolean().describe('The middle of long output is left out; a line in the text says how much.'),
})

type ResultFacts = z.infer<typeof resultFacts>

export const execute = defineTool({
  name: 'execute',
  title: 'Execute code',
  description:
    'Runs code in an environment, waits for its end, and answers with its output and exit code. Code that fails is ' +
    'no error of the tool. Long output loses its middle. For what goes on running use start_process.',
  role: 'member',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  takesLong: true,
  input: z.strictObject({
    environment_id: environmentId,
    code: z.string().min(1, 'must not be empty').describe('At most 512,000 bytes of UTF-8.'),
    language: runtime.optional().describe('Default: the runtime of the environment.'),
    timeout_seconds: z
      .number()
      .min(0)
      .optional()
      .describe('Then everything that the code has started is ended. More than the maximum is taken as the maximum.'),
  }),
  facts: resultFacts,
  async run({ environment_id: ref, code, language, timeout_seconds: seconds = 0 }, call) {
    checkCode(code)
    const sandbox = await findEnvironment(ref, call)
    const chosen = runtimeOf(sandbox, language)
    call.noted.details['language'] = chosen
    const { settings, signal, runtimes, caller } = call
    const timeoutMs = seconds === 0 ? settings.execMs : Math.min(Math.ceil(seconds * 1000), settings.maxExecMs)
    using watched = watchOutput(call, `running ${chosen} code`)
    const request = { runtime: chosen, code, timeoutMs, maxOutputBytes: settings.outputBytes, ...watched }
    return { facts: toFacts(await runtimes.run(caller, sandbox.spec.id, request, signal), timeoutMs, call) }
  },
})

export const installPackages = defineTool({
  name: 'install_packages',
  title: 'Install packages',
  description:
    'Installs packages where later executes of the same language find them: from PyPI for python, from npm for ' +
    'node, from the distribution for shell. The environment needs a network that reaches the registry.',
  role: 'member',
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  takesLong: true,
  input: z.strictObject({
    environment_id: environmentId,
    packages: z
      .string()
      .max(16_384)
      .regex(/\S/, 'must name a package')
      .describe('Names with spaces between them, such as "numpy==2.1 requests[socks]" or "@types/node lodash".'),
    language: runtime.optional().describe('Whose packages. Default: the runtime of the environment.'),
  }),
  facts: resultFacts,
  async run({ environment_id: ref, packages, language }, call) {
    const sandbox = await findEnvironment(ref, call)
    const chosen = runtimeOf(sandbox, language)
    const names = packages.trim().split(/\s+/)
    call.noted.details['language'] = chosen
    call.noted.details['packages'] = names.join(' ').slice(0, 200)
    const { settings, signal, runtimes, caller } = call
    const timeoutMs = settings.installMs
    using watched = watchOutput(call, `installing ${names.length === 1 ? 'a package' : `${names.length} packages`}`)
    const request = { runtime: chosen, packages: names, timeoutMs, maxOutputBytes: settings.outputBytes, ...watched }
    return { facts: toFacts(await runtimes.install(caller, sandbox.spec.id, request, signal), timeoutMs, call) }
  },
})

function checkCode(code: string): void {
  const bytes = Buffer.byteLength(code)
  const { codeBytes } = MCP_LIMITS
  if (bytes > codeBytes) {
    throw new CoveError(
      'payload-too-large',
      `code has ${bytes} bytes; at most ${codeBytes} are allowed`,
      { field: 'code', bytes, limit: codeBytes },
      { fix: 'Write it into files with write_file and execute a small program that uses them.' },
    )
  }
  if (code.isWellFormed()) return
  throw new CoveError('invalid-argument', 'code has a lone surrogate, which is no Unicode text', { field: 'code' })
}

/** Tells the client how much output there is so far. */
function watchOutput({ progress }: ToolCall, doing: string) {
  const began = performance.now()
  let bytes = 0
  const told = progress.watch(() => {
    const time = formatDuration(Math.round((performance.now() - began) / 1000) * 1000)
    return `${doing}: ${time}, ${formatBytes(bytes)} of output`
  })
  return {
    onOutput: (_stream: 'stdout' | 'stderr', data: Uint8Array): void => {
      bytes += data.length
    },
    [Symbol.dispose]: () => told[Symbol.dispose](),
  }
}

function toFacts(
  { stdout, stderr, exit, timedOut, durationMs }: CodeResult,
  timeoutMs: number,
  { settings }: ToolCall,
) {
  return {
    stdout: outputText(stdout, settings.outputBytes),
    stderr: outputText(stderr, settings.outputBytes),
    ...toExit(exit, timedOut, timeoutMs),
    timed_out: timedOut,
    duration_ms: Math.round(durationMs),
    timeout_seconds: timeoutMs / 1000,
    truncated: stdout.omitted > 0 || stderr.omitted > 0,
  } satisfies ResultFacts
}

export function toExit(exit: Exit, timedOut: boolean, timeoutMs?: number): { exit_code: number | null; exit: string } {
  const limit = timeoutMs === undefined ? '' : ` of ${formatDuration(timeoutMs)}`
  return {
    exit_code: exit.kind === 'exited' && !timedOut ? exit.code : null,
    exit: timedOut ? `was ended at its timeout${limit}` : describeExit(exit),
  }
}
