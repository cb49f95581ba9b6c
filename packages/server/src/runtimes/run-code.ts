import { CoveError, newProcessId, type Guest } from '@cove/domain'
import { checkEnv } from '../sandboxes/request.ts'
import type { GuestLease } from '../sandboxes/sandboxes.ts'
import { environment, interpreters, LANGUAGES } from './languages.ts'
import type { Kit } from './kit.ts'
import { nodeFile } from './node-modules.ts'
import { runProcess } from './run-process.ts'
import type { CodeResult, RunCode } from './runtimes.ts'

/** For the removal of the file, which does not wait for the caller. */
const TIDY_MS = 5_000

/** Puts the code into a file that only the sandbox's user can read, runs it, and removes the file. */
export async function runCode(
  kit: Kit,
  { guest, sandbox }: GuestLease,
  request: RunCode,
  code: Uint8Array,
  signal: AbortSignal,
): Promise<CodeResult> {
  const { runtime, timeoutMs, cwd, maxOutputBytes, onOutput } = request
  if (request.env !== undefined) checkEnv(request.env, 'env')
  const ground = await kit.grounds.of(guest, sandbox, signal)
  const programs = interpreters(runtime, ground, kit.commands[runtime]?.run)
  const env = environment(ground, sandbox, request)
  const id = newProcessId(kit.random)
  const where = cwd === undefined ? {} : { cwd }
  const options = { clock: kit.clock, maxOutputBytes, ...(onOutput === undefined ? {} : { onOutput }) }
  try {
    const { extension, options: flags } =
      runtime === 'node'
        ? await nodeFile(kit, guest, ground, request.code, programs, signal)
        : { extension: LANGUAGES[runtime].extension, options: [] }
    return await withFile(guest, `${ground.folder}/run/${id}${extension}`, code, signal, (file) => {
      const requests = programs.map((program) => ({ id, argv: [program, ...flags, file], env, timeoutMs, ...where }))
      return runProcess(guest, requests, options, signal)
    })
  } catch (error) {
    if (CoveError.from(error).code !== 'command-not-found') throw error
    throw new CoveError(
      'command-not-found',
      `sandbox ${sandbox.spec.id} has no ${programs.join(' and no ')}, so it cannot run ${runtime}`,
      { sandbox: sandbox.spec.id, runtime },
      { cause: error, fix: `Use a sandbox whose template has ${LANGUAGES[runtime].title}, or install it there.` },
    )
  }
}

/** The file is there as long as the work is, and gone when this settles, whatever happened. */
async function withFile<T>(
  guest: Guest,
  file: string,
  content: Uint8Array,
  signal: AbortSignal,
  work: (file: string) => Promise<T>,
): Promise<T> {
  try {
    await guest.writeFile(file, once(content), { mode: 0o600 }, signal)
    return await work(file)
  } finally {
    await guest.remove(file, { force: true }, AbortSignal.timeout(TIDY_MS)).catch(() => {})
  }
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  if (data.length > 0) yield data
}
