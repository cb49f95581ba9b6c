import { CoveError, newProcessId, type Guest } from '@cove/domain'
import { checkEnv } from '../sandboxes/request.ts'
import type { GuestLease } from '../sandboxes/sandboxes.ts'
import type { Ground } from './ground.ts'
import { environment, interpreters, LANGUAGES } from './languages.ts'
import type { Kit } from './kit.ts'
import { nodeFile } from './node-modules.ts'
import { runProcess } from './run-process.ts'
import type { CodeResult, RunCode } from './runtimes.ts'

/** For the removal of the file, which does not wait for the caller. */
const TIDY_MS = 5_000

/**
 * Puts the code into a file that only the sandbox's user can read, runs it, and removes the file. The answer does not
 * wait for the removal: what is asked of the guest later comes after it.
 */
export async function runCode(
  kit: Kit,
  lease: GuestLease,
  request: RunCode,
  code: Uint8Array,
  signal: AbortSignal,
): Promise<CodeResult> {
  const { guest, sandbox } = lease
  const { runtime, timeoutMs, cwd, maxOutputBytes, onOutput } = request
  if (request.env !== undefined) checkEnv(request.env, 'env')
  const configured = kit.commands[runtime]?.run
  const id = newProcessId(kit.random)
  const where = cwd === undefined ? {} : { cwd }
  const options = { clock: kit.clock, maxOutputBytes, ...(onOutput === undefined ? {} : { onOutput }) }
  try {
    const before = await kit.grounds.of(guest, sandbox, signal)
    const { extension, options: flags } =
      runtime === 'node'
        ? await nodeFile(kit, guest, before, request.code, interpreters(runtime, before, configured), signal)
        : { extension: LANGUAGES[runtime].extension, options: [] }
    const { ground, file } = await writeCode(kit, lease, `${id}${extension}`, code, signal)
    try {
      const env = environment(ground, sandbox, request)
      const programs = interpreters(runtime, ground, configured)
      const requests = programs.map((program) => ({ id, argv: [program, ...flags, file], env, timeoutMs, ...where }))
      return await runProcess(guest, requests, options, signal)
    } finally {
      void removeFile(guest, file)
    }
  } catch (error) {
    if (CoveError.from(error).code !== 'command-not-found') throw error
    const programs = configured === undefined ? LANGUAGES[runtime].programs : [configured]
    throw new CoveError(
      'command-not-found',
      `sandbox ${sandbox.spec.id} has no ${programs.join(' and no ')}, so it cannot run ${runtime}`,
      { sandbox: sandbox.spec.id, runtime },
      { cause: error, fix: `Use a sandbox whose template has ${LANGUAGES[runtime].title}, or install it there.` },
    )
  }
}

/** Code that ran before may have spoiled the folder: then the sandbox is asked for another place, once. */
async function writeCode(
  { grounds }: Kit,
  { guest, sandbox }: GuestLease,
  name: string,
  code: Uint8Array,
  signal: AbortSignal,
): Promise<{ readonly ground: Ground; readonly file: string }> {
  for (let isLast = false; ; isLast = true) {
    const ground = await grounds.of(guest, sandbox, signal)
    const file = `${ground.folder}/run/${name}`
    try {
      await guest.writeFile(file, once(code), { mode: 0o600 }, signal)
      return { ground, file }
    } catch (error) {
      await removeFile(guest, file)
      if (isLast || signal.aborted) throw error
      grounds.forget(sandbox)
    }
  }
}

const removeFile = (guest: Guest, file: string): Promise<void> =>
  guest.remove(file, { force: true }, AbortSignal.timeout(TIDY_MS)).catch(() => {})

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  if (data.length > 0) yield data
}
