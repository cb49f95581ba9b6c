/** One line of JSON at the end of every benchmark. Times are milliseconds. */
export interface Result {
  readonly name: string
  readonly n: number
  readonly p50_ms?: number
  readonly p99_ms?: number
  readonly baseline_p50_ms?: number
  readonly per_second?: number
  readonly mb_per_s?: number
  readonly baseline_mb_per_s?: number
  readonly mib?: number
  /** Against the baseline of the same run. */
  readonly ratio?: number
  /** Further figures of the same run. */
  readonly [detail: string]: string | number | undefined
}

export interface Options {
  /** A tenth of the work, for CI. */
  readonly quick: boolean
}

export type Benchmark = (options: Options) => Promise<Result>

export function quantile(samples: readonly number[], q: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN)
}

export const round = (value: number): number => Math.round(value * 1000) / 1000
