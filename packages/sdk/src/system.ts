import { SystemService, TemplateService, type Driver as WireDriver } from '@cove/api'
import type { Isolation } from '@cove/domain'
import type { CallOptions } from './call-options.ts'
import { isolationOf } from './convert/sandbox.ts'
import { dateOf } from './convert/time.ts'
import { templateInfo, type TemplateInfo } from './templates/template-info.ts'
import type { Rpc } from './wire/rpc.ts'

/** One way to build the wall around a sandbox, and whether it works on this machine. */
export interface DriverInfo {
  readonly name: string
  readonly isolation?: Isolation
  /** True when it has run a machine here. */
  readonly proven: boolean
  /** True when its machines run at native speed. */
  readonly native: boolean
  /** True for the one that is taken when nothing else is asked. */
  readonly chosen: boolean
  /** Names of the limits that it can enforce here. */
  readonly enforces: readonly string[]
  /** Facts such as the version of its tool. */
  readonly details: Readonly<Record<string, string>>
  /** Why it is not proven, and what to do. */
  readonly reason?: string
  readonly fix?: string
}

/** The installation as it was when it was asked. */
export interface SystemStatus {
  readonly version: string
  readonly installation: string
  readonly startedAt: Date
  readonly drivers: readonly DriverInfo[]
  /** Counts by state. */
  readonly sandboxes: Readonly<Record<string, number>>
  /** Memory of the daemon. */
  readonly residentBytes: number
}

/** The installation itself. */
export class System {
  readonly #rpc: Rpc

  /** @internal */
  constructor(rpc: Rpc) {
    this.#rpc = rpc
  }

  /** Version, drivers and counts. */
  async status(call: CallOptions = {}): Promise<SystemStatus> {
    const answer = await this.#rpc.unary(SystemService.method.getStatus, {}, call)
    return {
      version: answer.version,
      installation: answer.installation,
      startedAt: answer.startedAt === undefined ? new Date(0) : dateOf(answer.startedAt),
      drivers: answer.drivers.map(driverInfo),
      sandboxes: { ...answer.sandboxes },
      residentBytes: Number(answer.residentBytes),
    }
  }

  /** For admins. Proves every driver anew, which takes as long as it takes to start a machine with each. */
  async diagnose(call: CallOptions = {}): Promise<DriverInfo[]> {
    const answer = await this.#rpc.unary(SystemService.method.diagnose, {}, { ...call, idempotent: true })
    return answer.drivers.map(driverInfo)
  }

  /** All templates by name. */
  async templates(call: CallOptions = {}): Promise<TemplateInfo[]> {
    const answer = await this.#rpc.unary(TemplateService.method.listTemplates, {}, call)
    return answer.templates.map(templateInfo)
  }
}

function driverInfo(wire: WireDriver): DriverInfo {
  const isolation = isolationOf(wire.isolation)
  return {
    name: wire.name,
    ...(isolation === undefined ? {} : { isolation }),
    proven: wire.proven,
    native: wire.native,
    chosen: wire.chosen,
    enforces: [...wire.enforces],
    details: { ...wire.details },
    ...(wire.reason === '' ? {} : { reason: wire.reason }),
    ...(wire.fix === '' ? {} : { fix: wire.fix }),
  }
}
