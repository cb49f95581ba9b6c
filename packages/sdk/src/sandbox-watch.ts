import { SandboxService } from '@cove/api'
import { CoveError, type ErrorCode } from '@cove/domain'
import { filterInit, sandboxInfo } from './convert/sandbox.ts'
import type { SandboxInfo } from './sandbox-info.ts'
import type { ListFilter } from './sandbox-options.ts'
import { comesBack, Reconnect } from './wire/reconnect.ts'
import type { Rpc } from './wire/rpc.ts'
import { noticingSilence } from './wire/silence.ts'

/** What a watch tells: a sandbox as it is now, or that everything there was at the start has been told. */
export type SandboxEvent = { readonly type: 'changed'; readonly sandbox: SandboxInfo } | { readonly type: 'synced' }

const ENDED: ReadonlySet<ErrorCode> = new Set(['sandbox-not-found', 'sandbox-gone'])

/** A reader that was too slow for the server is told to begin anew. */
const mayTry = (error: CoveError): boolean => comesBack(error) || error.code === 'limit-reached'

/**
 * Watches over any number of connections. A new one tells everything anew; what was known before and is not told by it
 * has ended meanwhile, and that is told before `synced`.
 */
export async function* watchSandboxes(
  rpc: Rpc,
  filter: ListFilter,
  signal: AbortSignal | undefined,
): AsyncGenerator<SandboxEvent> {
  const line = new Reconnect(rpc.parts, signal)
  const live = new Map<string, SandboxInfo>()
  const states = filter.states ?? []
  let stood = false
  let again = false
  const wanted = (sandbox: SandboxInfo): boolean =>
    !again || states.length === 0 || live.has(sandbox.id) || states.includes(sandbox.state)
  const note = (sandbox: SandboxInfo): SandboxEvent => {
    if (sandbox.state === 'deleted') live.delete(sandbox.id)
    else live.set(sandbox.id, sandbox)
    return { type: 'changed', sandbox }
  }
  for (;;) {
    try {
      line.begin()
      const missing = new Map(live)
      let synced = false
      const request = { filter: filterInit(again ? withoutStates(filter) : filter) }
      const open = (both: AbortSignal) => rpc.stream(SandboxService.method.watchSandboxes, request, both)
      for await (const { event } of noticingSilence(rpc.parts, signal, open)) {
        if (event.case === 'changed') {
          const sandbox = sandboxInfo(event.value)
          missing.delete(sandbox.id)
          if (synced) line.moved()
          if (wanted(sandbox)) yield note(sandbox)
        } else if (event.case === 'synced') {
          for (const last of missing.values()) yield note(await whatBecameOf(rpc, last, signal))
          synced = true
          stood = true
          line.moved()
          yield { type: 'synced' }
        }
      }
      throw new CoveError('connection-lost', 'the watch ended')
    } catch (thrown) {
      await line.failed(thrown, stood ? rpc.reconnect : rpc.policy, mayTry)
      again = true
    }
  }
}

/** A sandbox that has left the filter since stays watched, so that the second connection asks for all states. */
function withoutStates({ states = [], includeDeleted = false, ...rest }: ListFilter): ListFilter {
  return { ...rest, includeDeleted: includeDeleted || states.includes('deleted') }
}

/** The tombstone tells why it ended, as long as there is one. */
async function whatBecameOf(rpc: Rpc, last: SandboxInfo, signal: AbortSignal | undefined): Promise<SandboxInfo> {
  const call = signal === undefined ? {} : { signal }
  try {
    const { sandbox } = await rpc.unary(SandboxService.method.getSandbox, { id: last.id }, call)
    if (sandbox !== undefined) return sandboxInfo(sandbox)
  } catch (thrown) {
    if (!(thrown instanceof CoveError && ENDED.has(thrown.code))) throw thrown
  }
  return { ...last, state: 'deleted' }
}
