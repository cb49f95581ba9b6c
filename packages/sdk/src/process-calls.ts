import { ProcessService } from '@cove/api'
import { CoveError, type TerminalSize } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { SIGNALS, signalNumber, type SignalName } from './signals.ts'
import type { Rpc } from './wire/rpc.ts'

/** The calls that a handle makes about its process and the collection makes by id. */
export interface ProcessName {
  readonly sandbox: string
  readonly id: string
}

/** What one call of the API takes as stdin. */
const STDIN_BYTES = 1024 * 1024

/** In order, each part once the one before it was taken. Never repeated: nobody knows how much of a lost call arrived. */
export async function writeStdin(
  rpc: Rpc,
  { sandbox, id: processId }: ProcessName,
  data: string | Uint8Array,
  close: boolean,
  options: CallOptions,
): Promise<void> {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data
  let at = 0
  do {
    const part = bytes.subarray(at, at + STDIN_BYTES)
    at += part.byteLength
    const request = { sandbox, processId, data: part, close: close && at >= bytes.byteLength }
    if (part.byteLength > 0 || close) await rpc.unary(ProcessService.method.writeStdin, request, options)
  } while (at < bytes.byteLength)
}

export async function signalProcess(
  rpc: Rpc,
  { sandbox, id: processId }: ProcessName,
  signal: SignalName | number,
  options: CallOptions,
): Promise<void> {
  const number = signalNumber(signal)
  const request = { sandbox, processId, signal: number }
  const idempotent = number === SIGNALS.KILL
  await rpc.unary(ProcessService.method.signalProcess, request, { ...options, idempotent })
}

export async function killProcess(rpc: Rpc, name: ProcessName, options: CallOptions): Promise<void> {
  try {
    await signalProcess(rpc, name, 'KILL', options)
  } catch (thrown) {
    if (!(thrown instanceof CoveError && takesNoMore(thrown))) throw thrown
  }
}

/** It has ended, or has closed its input. A sandbox in the wrong state says which; a process says no more. */
export function takesNoMore({ code, context }: CoveError): boolean {
  return code === 'process-not-found' || (code === 'wrong-state' && context['state'] === undefined)
}

export async function resizeTerminal(
  rpc: Rpc,
  { sandbox, id: processId }: ProcessName,
  size: TerminalSize,
  options: CallOptions,
): Promise<void> {
  const request = { sandbox, processId, size }
  await rpc.unary(ProcessService.method.resizeTerminal, request, { ...options, idempotent: true })
}
