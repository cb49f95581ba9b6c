import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { SystemService } from '@cove/api'
import type { NodeClient } from '@cove/domain'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import type { Methods } from './call.ts'
import { toDriver } from './to-wire.ts'

export interface Installation {
  readonly version: string
  readonly installation: string
  /** Unix milliseconds. */
  readonly startedAt: number
}

export function systemMethods(
  facts: Installation,
  sandboxes: Sandboxes,
  node: NodeClient,
): Methods<typeof SystemService> {
  return {
    async getStatus(_request, { caller, signal }) {
      return {
        version: facts.version,
        installation: facts.installation,
        startedAt: timestampFromMs(facts.startedAt),
        drivers: (await node.drivers(signal)).map(toDriver),
        sandboxes: { ...sandboxes.count(caller) },
        residentBytes: BigInt(process.memoryUsage.rss()),
      }
    },
    async diagnose(_request, { signal }) {
      return { drivers: (await node.diagnose(signal)).map(toDriver) }
    },
  }
}
