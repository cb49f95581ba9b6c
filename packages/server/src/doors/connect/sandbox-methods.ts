import type { MessageInitShape } from '@bufbuild/protobuf'
import type { SandboxService, WatchSandboxesResponseSchema } from '@cove/api'
import type { ServerLimits } from '../../options.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import type { WatchEvent } from '../../sandboxes/watch.ts'
import { bad } from '../../sandboxes/request.ts'
import type { Snapshots } from '../../snapshots/snapshots.ts'
import type { Methods } from './call.ts'
import {
  checkRef,
  parseCreate,
  parseFilter,
  parseKind,
  parseLimits,
  parseMilliseconds,
  parseTimeout,
} from './from-wire.ts'
import { withKeepAlive } from './keep-alive.ts'
import { toSandbox, toSnapshotKind, toStats } from './to-wire.ts'

const DEFAULT_GRACE_MS = 5_000
const LONGEST_GRACE_MS = 600_000
const DEFAULT_PAGE = 100
const LARGEST_PAGE = 1_000

export function sandboxMethods(
  sandboxes: Sandboxes,
  snapshots: Snapshots,
  limits: ServerLimits,
): Methods<typeof SandboxService> {
  return {
    async createSandbox(request, { caller, signal }) {
      return { sandbox: toSandbox(await sandboxes.create(caller, parseCreate(request), signal)) }
    },
    async getSandbox({ id }, { caller }) {
      return { sandbox: toSandbox(await sandboxes.get(caller, checkRef(id, 'id'))) }
    },
    async listSandboxes({ filter, pageSize, pageToken }, { caller }) {
      if (pageSize > LARGEST_PAGE) throw bad('pageSize', `must be 1 to ${LARGEST_PAGE}`)
      const page = sandboxes.list(caller, {
        filter: parseFilter(filter),
        size: pageSize === 0 ? DEFAULT_PAGE : pageSize,
        ...(pageToken === '' ? {} : { token: pageToken }),
      })
      return { sandboxes: page.sandboxes.map(toSandbox), nextPageToken: page.next ?? '' }
    },
    async *watchSandboxes({ filter }, { caller, signal }) {
      const events = wireEvents(sandboxes.watch(caller, parseFilter(filter), signal))
      yield* withKeepAlive<WireEvent>(events, limits.keepAliveMs, () => ({ event: { case: 'keepAlive', value: {} } }))
    },
    async stopSandbox({ id, grace, incarnation }, { caller }) {
      const graceMs = parseMilliseconds(grace, 'grace') ?? DEFAULT_GRACE_MS
      if (graceMs > LONGEST_GRACE_MS) throw bad('grace', 'must be at most 10 minutes')
      return { sandbox: toSandbox(await sandboxes.stop(caller, checkRef(id, 'id'), graceMs, incarnation)) }
    },
    async startSandbox({ id }, { caller }) {
      return { sandbox: toSandbox(await sandboxes.start(caller, checkRef(id, 'id'))) }
    },
    async pauseSandbox({ id, burnLifetime, toDisk }, { caller }) {
      const request = { burnLifetime, to: toDisk ? 'disk' : 'memory' } as const
      return { sandbox: toSandbox(await sandboxes.pause(caller, checkRef(id, 'id'), request)) }
    },
    async resumeSandbox({ id }, { caller }) {
      return { sandbox: toSandbox(await sandboxes.resume(caller, checkRef(id, 'id'))) }
    },
    async forkSandbox({ id, count, kind, labels }, { caller, signal }) {
      const forked = await snapshots.fork(
        caller,
        checkRef(id, 'id'),
        { count: count === 0 ? 1 : count, labels, ...parseKind(kind) },
        signal,
      )
      return { sandboxes: forked.sandboxes.map(toSandbox), kind: toSnapshotKind(forked.kind) }
    },
    async updateSandboxLimits({ id, limits: wanted }, { caller }) {
      return { sandbox: toSandbox(await sandboxes.updateLimits(caller, checkRef(id, 'id'), parseLimits(wanted))) }
    },
    async getSandboxStats({ id }, { caller }) {
      return toStats(await sandboxes.stats(caller, checkRef(id, 'id')))
    },
    async updateSandboxTimeouts(request, { caller }) {
      const idleTimeout = parseTimeout(request.idleTimeout, 'idleTimeout')
      const lifetime = parseTimeout(request.lifetime, 'lifetime')
      const sandbox = await sandboxes.updateTimeouts(caller, checkRef(request.id, 'id'), {
        ...(idleTimeout === undefined ? {} : { idleTimeout }),
        ...(lifetime === undefined ? {} : { lifetime }),
      })
      return { sandbox: toSandbox(sandbox) }
    },
    async deleteSandbox({ id }, { caller }) {
      return { sandbox: toSandbox(await sandboxes.delete(caller, checkRef(id, 'id'))) }
    },
  }
}

type WireEvent = MessageInitShape<typeof WatchSandboxesResponseSchema>

async function* wireEvents(events: AsyncIterable<WatchEvent>): AsyncGenerator<WireEvent> {
  for await (const event of events) {
    if (event.type === 'synced') yield { event: { case: 'synced', value: {} } }
    else yield { event: { case: 'changed', value: toSandbox(event.sandbox) } }
  }
}
