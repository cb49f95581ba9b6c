import { setTimeout as delay } from 'node:timers/promises'
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect'
import { HealthCheckResponse_ServingStatus as Status, type Health } from '@cove/api/grpc'

/** How often a watch looks, in milliseconds. */
const LOOK_MS = 1_000

interface HealthOptions {
  /** Full names of the services there are. */
  readonly services: ReadonlySet<string>
  /** Why no work is taken, or undefined when it is. */
  readonly notReady: () => Promise<string | undefined>
  /** Ends the watches when the server closes. */
  readonly closing: AbortSignal
}

/**
 * gRPC's health service: the server and each of its services are serving when `/readyz` says so. Source:
 * https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
export function healthService({ services, notReady, closing }: HealthOptions): ServiceImpl<typeof Health> {
  const status = async (service: string): Promise<Status> => {
    if (service !== '' && !services.has(service)) return Status.SERVICE_UNKNOWN
    return (await notReady()) === undefined ? Status.SERVING : Status.NOT_SERVING
  }
  return {
    async check({ service }) {
      const found = await status(service)
      if (found !== Status.SERVICE_UNKNOWN) return { status: found }
      throw new ConnectError('there is no service of that name', Code.NotFound)
    },
    async *watch({ service }, { signal }) {
      const ending = AbortSignal.any([signal, closing])
      let told: Status | undefined
      while (!ending.aborted) {
        const now = await status(service)
        if (now !== told) yield { status: now }
        told = now
        await delay(LOOK_MS, undefined, { signal: ending }).catch(() => undefined)
      }
    },
  }
}
