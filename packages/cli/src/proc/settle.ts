import { CoveError, describeExit } from '@cove/domain'
import { isLive, type ProcInfo } from './proc-info.ts'
import type { Procs } from './procs.ts'

export type Settled =
  /** It runs and, where something says so, is ready; or it has done its work already. */
  | { readonly kind: 'ready'; readonly info: ProcInfo }
  | { readonly kind: 'failed'; readonly info: ProcInfo; readonly error: CoveError }
  /** The signal has aborted; it goes on. */
  | { readonly kind: 'left' }

interface SettleOptions {
  /** Runs up to this one are not what is waited for. */
  readonly runs: number
  readonly signal: AbortSignal
  readonly onChange?: (info: ProcInfo) => void
}

/** Waits until a process is ready, or will not be. */
export async function settle(procs: Procs, name: string, { runs, signal, onChange }: SettleOptions): Promise<Settled> {
  let last: ProcInfo | undefined
  for await (const info of procs.watch(name, signal)) {
    last = info
    onChange?.(info)
    if (!isLive(info)) break
    if (info.state === 'running' && info.ready !== false && info.runs > runs) return { kind: 'ready', info }
  }
  if (signal.aborted) return { kind: 'left' }
  if (last === undefined || isLive(last)) last = await procs.get(name)
  const { state, exit } = last
  const done = state === 'exited' && exit?.kind === 'exited' && exit.code === 0 && last.readyCheck === undefined
  if (done || isLive(last)) return { kind: 'ready', info: last }
  return { kind: 'failed', info: last, error: failure(last) }
}

function failure({ name, state, reason, exit, code, readyCheck }: ProcInfo): CoveError {
  const ended = exit === undefined ? `is ${state}` : describeExit(exit)
  const early = readyCheck === undefined ? '' : ' before it was ready'
  return new CoveError(
    code ?? 'driver-failed',
    reason === undefined ? `${name} ${ended}${early}` : `${name}: ${reason}`,
    { name },
    { fix: `Read what it said with \`cove proc logs ${name}\`.` },
  )
}
