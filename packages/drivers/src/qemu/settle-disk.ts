import { setTimeout as delay } from 'node:timers/promises'
import type { MachineId } from '@cove/domain'
import type { HostProcess } from '@cove/runner'
import { connectSocket } from '../host/connect-socket.ts'
import { readNote } from '../host/machine-note.ts'
import type { Prepared } from '../launched/prepare.ts'
import { ControlPort } from '../microvm/control-port.ts'
import { controlOf, monitorOf } from './machine-spec.ts'
import { monitorSession } from './monitor-session.ts'

const SETTLE_MS = 5_000

/**
 * Before a machine is cut off whose disk is kept: its kernel has not written everything yet, so it is asked to end, and
 * given a moment. Fails when it does not answer.
 */
export async function settleDisk(
  { prepared, driver }: { readonly prepared: Prepared; readonly driver: string },
  id: MachineId,
  process: HostProcess | undefined,
): Promise<void> {
  if (process?.state !== 'running' || readNote(process.note, driver)?.disk === undefined) return
  const signal = AbortSignal.timeout(SETTLE_MS)
  // One that stands still does not hear.
  await monitorSession(monitorOf(prepared, id), signal, (client) => client.execute('cont', {}, signal))
  const control = new ControlPort((wanted) => connectSocket(controlOf(prepared, id), wanted))
  await control.tell('stop', process.exited, signal)
  await Promise.race([process.exited, delay(SETTLE_MS, undefined, { ref: false })])
}
