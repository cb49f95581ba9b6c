import { CoveError, describeExit, parseProcessId, type Guest } from '@cove/domain'
import { abortable } from '../wait.ts'
import type { BuildLog } from './build-log.ts'

const STEP_ID = parseProcessId('build-step')

/** Runs one command of a build to its end, with its output in the log. `build-failed` unless it ends with 0. */
export async function runCommand(guest: Guest, command: string, log: BuildLog, signal: AbortSignal): Promise<void> {
  const streams = { stdout: new TextDecoder(), stderr: new TextDecoder(), terminal: new TextDecoder() }
  let events
  try {
    ;({ events } = await guest.start({ id: STEP_ID, argv: ['/bin/sh', '-c', command], env: {} }, signal))
  } catch (thrown) {
    const error = CoveError.from(thrown)
    if (error.code !== 'command-not-found') throw error
    throw new CoveError(
      'build-failed',
      'the image has no /bin/sh that can be run',
      {},
      {
        cause: error,
        fix: 'Start from an image that has a shell and is for this architecture, or leave out the `run` steps.',
      },
    )
  }
  for await (const event of events) {
    if (event.type === 'output') {
      await abortable(log.append(streams[event.stream].decode(event.data, { stream: true })), signal)
    } else if (event.type === 'exit') {
      for (const decoder of Object.values(streams)) await log.append(decoder.decode())
      const { exit } = event
      if (exit.kind === 'exited' && exit.code === 0) return
      const context = exit.kind === 'exited' ? { exitCode: exit.code } : {}
      throw new CoveError('build-failed', `the command ${describeExit(exit)}`, context)
    }
  }
  throw new CoveError('guest-unreachable', 'the output of the command has ended without its exit')
}
