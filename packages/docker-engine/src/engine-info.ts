import { toList, toNumber, toObject, toText } from './json.ts'

/** What an engine says of itself and of its host. */
export interface EngineInfo {
  /** Of the engine; stays over restarts. */
  readonly id: string
  /** As in `x86_64`. */
  readonly architecture: string
  readonly os: string
  readonly kernel: string
  readonly storage: string
  /** File system below the storage, for example `xfs`; empty when it is not told. */
  readonly backing: string
  readonly cgroupVersion: '1' | '2'
  readonly memoryBytes: number
  readonly cpus: number
  /** Limits that its host's kernel enforces. */
  readonly limits: { readonly memory: boolean; readonly cpus: boolean; readonly processes: boolean }
  /** For example `name=userns`. */
  readonly security: readonly string[]
  readonly liveRestore: boolean
}

export function toEngineInfo(value: unknown): EngineInfo {
  const object = toObject(value, 'info')
  const status = toList(object['DriverStatus'], 'DriverStatus').map((row) => toList(row, 'DriverStatus').map(String))
  return {
    id: toText(object, 'ID'),
    architecture: toText(object, 'Architecture'),
    os: toText(object, 'OSType'),
    kernel: toText(object, 'KernelVersion'),
    storage: toText(object, 'Driver'),
    backing: status.find(([name]) => name === 'Backing Filesystem')?.[1] ?? '',
    cgroupVersion: object['CgroupVersion'] === '2' ? '2' : '1',
    memoryBytes: toNumber(object, 'MemTotal'),
    cpus: toNumber(object, 'NCPU'),
    limits: {
      memory: object['MemoryLimit'] === true,
      cpus: object['CpuCfsQuota'] === true,
      processes: object['PidsLimit'] === true,
    },
    security: toList(object['SecurityOptions'], 'SecurityOptions').map(String),
    liveRestore: object['LiveRestoreEnabled'] === true,
  }
}
