import { SandboxService } from '@cove/api'
import { CoveError } from '@cove/domain'
import type { Sandbox as WireSandbox } from '@cove/api'
import type { CallOptions } from './call-options.ts'
import { sandboxInfo } from './convert/sandbox.ts'
import { limitsInit } from './convert/limits.ts'
import { durationOf, millisecondsOf, timeoutInit } from './convert/time.ts'
import type { SandboxInfo } from './sandbox-info.ts'
import type { LimitOptions, PauseOptions, SandboxStats, StopOptions, TimeoutUpdate } from './sandbox-options.ts'
import type { Rpc } from './wire/rpc.ts'

/** The calls that a handle makes about itself and the collection makes by id or name. */

export async function stopSandbox(rpc: Rpc, id: string, options: StopOptions): Promise<SandboxInfo> {
  const { graceMs, incarnation = 0 } = options
  const grace = graceMs === undefined ? {} : { grace: durationOf(graceMs) }
  const request = { id, incarnation, ...grace }
  const answer = await rpc.unary(SandboxService.method.stopSandbox, request, { ...options, idempotent: true })
  return present(answer.sandbox)
}

/** A lifetime counts from the call, so a second try lengthens it by no more than the first one took. */
export async function updateTimeouts(
  rpc: Rpc,
  id: string,
  { idleTimeout, lifetime }: TimeoutUpdate,
  options: CallOptions,
): Promise<SandboxInfo> {
  const request = {
    id,
    ...(idleTimeout === undefined ? {} : { idleTimeout: timeoutInit(idleTimeout) }),
    ...(lifetime === undefined ? {} : { lifetime: timeoutInit(lifetime) }),
  }
  const answer = await rpc.unary(SandboxService.method.updateSandboxTimeouts, request, { ...options, idempotent: true })
  return present(answer.sandbox)
}

export async function pauseSandbox(rpc: Rpc, id: string, options: PauseOptions): Promise<SandboxInfo> {
  const { burnLifetime = false, toDisk = false } = options
  const request = { id, burnLifetime, toDisk }
  const answer = await rpc.unary(SandboxService.method.pauseSandbox, request, { ...options, idempotent: true })
  return present(answer.sandbox)
}

export async function resumeSandbox(rpc: Rpc, id: string, options: CallOptions): Promise<SandboxInfo> {
  const answer = await rpc.unary(SandboxService.method.resumeSandbox, { id }, { ...options, idempotent: true })
  return present(answer.sandbox)
}

export async function updateLimits(
  rpc: Rpc,
  id: string,
  limits: LimitOptions,
  options: CallOptions,
): Promise<SandboxInfo> {
  const request = { id, limits: limitsInit(limits) }
  const answer = await rpc.unary(SandboxService.method.updateSandboxLimits, request, { ...options, idempotent: true })
  return present(answer.sandbox)
}

export async function sandboxStats(rpc: Rpc, id: string, options: CallOptions): Promise<SandboxStats> {
  const wire = await rpc.unary(SandboxService.method.getSandboxStats, { id }, options)
  return {
    ...(wire.memoryBytes === undefined ? {} : { memoryBytes: Number(wire.memoryBytes) }),
    ...(wire.cpuTime === undefined ? {} : { cpuMs: millisecondsOf(wire.cpuTime) }),
    ...(wire.processes === undefined ? {} : { processes: wire.processes }),
    ...(wire.diskBytes === undefined ? {} : { diskBytes: Number(wire.diskBytes) }),
  }
}

/** Works from every state, and twice. Undefined when the server keeps nothing of it any more. */
export async function deleteSandbox(rpc: Rpc, id: string, options: CallOptions): Promise<SandboxInfo | undefined> {
  const answer = await rpc.unary(SandboxService.method.deleteSandbox, { id }, { ...options, idempotent: true })
  return answer.sandbox === undefined ? undefined : sandboxInfo(answer.sandbox)
}

function present(wire: WireSandbox | undefined): SandboxInfo {
  if (wire === undefined) throw new CoveError('internal', 'the server answered without a sandbox')
  return sandboxInfo(wire)
}
