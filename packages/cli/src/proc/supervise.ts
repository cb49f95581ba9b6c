import { CoveError } from '@cove/domain'
import { systemClock } from '@cove/domain/system'
import {
  isOver,
  openRunner,
  parseReadyCheck,
  parseRestartPolicy,
  Supervisor,
  type CompanionRunner,
  type SupervisedStatus,
} from '@cove/runner'
import { bootId } from '../daemon/daemon-file.ts'
import type { Io } from '../io.ts'
import { describeEnvironment, openProcEnvironment } from './open-environment.ts'
import { ProcFolder } from './proc-folder.ts'
import { ProcLog } from './proc-log.ts'
import type { ProcSpec } from './proc-spec.ts'

export interface SuperviseArgs {
  readonly folder: string
  readonly stateFolder: string
  readonly installation: string
  readonly guestProgram: string
}

/** The program that stays beside a supervised process until that is over. */
export async function supervise(args: SuperviseArgs, io: Io): Promise<number> {
  const folder = new ProcFolder(args.folder)
  const spec = folder.readSpec()
  if (spec === undefined) throw new CoveError('internal', `${args.folder} says nothing of what to supervise`)
  using log = new ProcLog(folder.log, spec.logBytes)
  const runner = await openRunner({ stateFolder: args.stateFolder, guestProgram: args.guestProgram })
  await using _runner = runner
  let environment: CompanionRunner | undefined
  const tell = teller(folder, spec, log, () => environment)
  try {
    environment = await openProcEnvironment(spec, runner, args.installation)
  } catch (thrown) {
    const { message, code } = CoveError.from(thrown)
    log.note(message)
    tell({ ...NOTHING, phase: 'failed', since: Date.now(), reason: message, code })
    return 0
  }
  log.note(describeEnvironment(environment))
  const supervisor = new Supervisor({
    environment,
    program: spec.program,
    args: spec.args,
    variables: spec.environment,
    restart: parseRestartPolicy(spec.restart),
    ready: spec.ready === undefined ? undefined : parseReadyCheck(spec.ready),
    readyTimeoutMs: spec.readyTimeoutMs,
    graceMs: spec.graceMs,
    clock: systemClock,
    onStatus: (status) => {
      // The last word is spoken when everything is cleared away.
      if (!isOver(status)) tell(status)
    },
    onLine: (line) => log.line(line),
    onNote: (text) => log.note(text),
  })
  io.onSignal?.('SIGTERM', () => supervisor.stop(graceOf(folder)))
  io.onSignal?.('SIGINT', () => supervisor.stop(graceOf(folder)))
  io.onSignal?.('SIGHUP', () => supervisor.restart())
  const last = await supervisor.run()
  try {
    await environment.shutdown()
  } catch (thrown) {
    log.note(`could not be cleared away: ${CoveError.from(thrown).message}`)
  }
  tell(last)
  return 0
}

const NOTHING: Omit<SupervisedStatus, 'phase' | 'since' | 'reason' | 'code'> = {
  ready: undefined,
  pid: undefined,
  runs: 0,
  restarts: 0,
  exit: undefined,
}

/** Writes what becomes of it. A disk that does not take it must not end what runs. */
function teller(
  folder: ProcFolder,
  spec: ProcSpec,
  log: ProcLog,
  environment: () => CompanionRunner | undefined,
): (status: SupervisedStatus) => void {
  return (status) => {
    const chosen = environment()
    const backend = chosen?.backend
    const description = chosen === undefined ? undefined : describeEnvironment(chosen)
    try {
      folder.writeState({ supervisor: spec.supervisor, bootId: bootId(), backend, description, status })
    } catch (thrown) {
      log.note(`its state could not be written: ${CoveError.from(thrown).message}`)
    }
  }
}

function graceOf(folder: ProcFolder): number | undefined {
  try {
    return folder.readGrace()
  } catch {
    return undefined
  }
}
