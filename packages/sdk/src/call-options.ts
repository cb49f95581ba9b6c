/** What every call takes. */
export interface CallOptions {
  /** Ends the call with `cancelled` as soon as it aborts. */
  readonly signal?: AbortSignal
  /** Milliseconds for the call in all, tries included; then it ends with `deadline-exceeded`. Default: no limit. */
  readonly timeoutMs?: number
}
