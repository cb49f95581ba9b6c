import { toObject, type JsonObject } from './json.ts'

/** What a container uses; what cannot be measured is absent. */
export interface ContainerStats {
  /** Without what the kernel keeps of files and can drop. */
  readonly memoryBytes?: number
  readonly cpuMs?: number
  readonly processes?: number
}

const NANOSECONDS_PER_MS = 1_000_000

export function toContainerStats(value: unknown): ContainerStats {
  const object = toObject(value, 'stats')
  const memory = part(object, 'memory_stats')
  const details = part(memory, 'stats')
  const used = number(memory['usage'])
  // Version 1 of control groups and version 2 call it by two names.
  const droppable = number(details['total_inactive_file']) ?? number(details['inactive_file']) ?? 0
  const cpu = number(part(part(object, 'cpu_stats'), 'cpu_usage')['total_usage'])
  const processes = number(part(object, 'pids_stats')['current'])
  return {
    ...(used === undefined ? {} : { memoryBytes: Math.max(0, used - droppable) }),
    ...(cpu === undefined ? {} : { cpuMs: cpu / NANOSECONDS_PER_MS }),
    ...(processes === undefined ? {} : { processes }),
  }
}

function part(object: JsonObject, name: string): JsonObject {
  return toObject(object[name] ?? {}, name)
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}
