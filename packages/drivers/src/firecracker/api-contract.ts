import type { Of } from './api-rules.ts'
import { SHAPES, type ShapeName } from './api-shapes.ts'

interface CallFacts {
  /** `before`: refused once the guest has been started or loaded; `after`: refused until then. */
  readonly when: 'before' | 'after' | 'always'
  readonly body?: ShapeName
  /** It may be left out. */
  readonly optionalBody?: true
  /** Absent: 204 and nothing. */
  readonly answer?: ShapeName
}

/**
 * Every call of Firecracker's published API (1.17), with when it is allowed. What the description says in words alone is
 * in `testing/`, where the stand-in keeps to it. Fields in braces are those of the body with the same name.
 */
export const CALLS = {
  'GET /': { when: 'always', answer: 'InstanceInfo' },
  'GET /version': { when: 'always', answer: 'FirecrackerVersion' },
  'GET /vm/config': { when: 'always', answer: 'FullVmConfiguration' },
  'GET /machine-config': { when: 'always', answer: 'MachineConfiguration' },
  'PUT /machine-config': { when: 'before', body: 'MachineConfiguration', optionalBody: true },
  'PATCH /machine-config': { when: 'before', body: 'MachineConfiguration', optionalBody: true },
  'PUT /boot-source': { when: 'before', body: 'BootSource' },
  'PUT /cpu-config': { when: 'before', body: 'CpuConfig', optionalBody: true },
  'PUT /drives/{drive_id}': { when: 'before', body: 'Drive' },
  'PATCH /drives/{drive_id}': { when: 'after', body: 'PartialDrive' },
  'PUT /pmem/{id}': { when: 'before', body: 'Pmem' },
  'PATCH /pmem/{id}': { when: 'after', body: 'PartialPmem' },
  'PUT /network-interfaces/{iface_id}': { when: 'before', body: 'NetworkInterface' },
  'PATCH /network-interfaces/{iface_id}': { when: 'after', body: 'PartialNetworkInterface' },
  'PUT /vsock': { when: 'before', body: 'Vsock' },
  'PUT /entropy': { when: 'before', body: 'EntropyDevice' },
  'PUT /serial': { when: 'before', body: 'SerialDevice' },
  'PUT /logger': { when: 'always', body: 'Logger' },
  'PUT /metrics': { when: 'always', body: 'Metrics' },
  'GET /balloon': { when: 'always', answer: 'Balloon' },
  'PUT /balloon': { when: 'before', body: 'Balloon' },
  'PATCH /balloon': { when: 'always', body: 'BalloonUpdate' },
  'GET /balloon/statistics': { when: 'always', answer: 'BalloonStats' },
  'PATCH /balloon/statistics': { when: 'always', body: 'BalloonStatsUpdate' },
  'PATCH /balloon/hinting/start': { when: 'always', body: 'BalloonStartCmd', optionalBody: true },
  'PATCH /balloon/hinting/stop': { when: 'always' },
  'GET /balloon/hinting/status': { when: 'always', answer: 'BalloonHintingStatus' },
  'GET /hotplug/memory': { when: 'always', answer: 'MemoryHotplugStatus' },
  'PUT /hotplug/memory': { when: 'before', body: 'MemoryHotplugConfig' },
  'PATCH /hotplug/memory': { when: 'after', body: 'MemoryHotplugSizeUpdate' },
  'GET /mmds': { when: 'always', answer: 'MmdsContentsObject' },
  'PUT /mmds': { when: 'always', body: 'MmdsContentsObject', optionalBody: true },
  'PATCH /mmds': { when: 'always', body: 'MmdsContentsObject', optionalBody: true },
  'PUT /mmds/config': { when: 'before', body: 'MmdsConfig' },
  'PUT /actions': { when: 'always', body: 'InstanceActionInfo' },
  'PATCH /vm': { when: 'after', body: 'Vm' },
  'PUT /snapshot/create': { when: 'after', body: 'SnapshotCreateParams' },
  'PUT /snapshot/load': { when: 'before', body: 'SnapshotLoadParams' },
} as const satisfies Record<string, CallFacts>

export type CallName = keyof typeof CALLS

type Shape<Name> = Name extends ShapeName ? Of<(typeof SHAPES)[Name]> : undefined

/** What a call sends; `undefined` where it has no body. */
export type BodyOf<Name extends CallName> = (typeof CALLS)[Name] extends { readonly body: infer Body }
  ? Shape<Body>
  : undefined

/** What a call answers; `undefined` where that is nothing. */
export type AnswerOf<Name extends CallName> = (typeof CALLS)[Name] extends { readonly answer: infer Answer }
  ? Shape<Answer>
  : undefined

export const factsOf = (name: CallName): CallFacts => CALLS[name]

/** The call that a request means, and what stands in the place of the braces. */
export function callOf(method: string, path: string): { readonly name: CallName; readonly id?: string } | undefined {
  for (const name of Object.keys(CALLS) as CallName[]) {
    const [verb, pattern = ''] = name.split(' ')
    if (verb !== method) continue
    const brace = pattern.indexOf('{')
    if (brace < 0) {
      if (path === pattern) return { name }
      continue
    }
    const id = path.startsWith(pattern.slice(0, brace)) ? path.slice(brace) : ''
    if (/^\w+$/.test(id)) return { name, id }
  }
  return undefined
}
