/**
 * How something ended. An exit code is never invented: what nobody saw is `lost`.
 *
 * - `exited`: it ended by itself with this code, 0 to 255.
 * - `signaled`: this signal number killed it.
 * - `out-of-memory`: the kernel killed it because its memory limit was reached.
 * - `lost`: it is gone and nobody was there to read its status.
 */
export type Exit =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signaled'; readonly signal: number }
  | { readonly kind: 'out-of-memory' }
  | { readonly kind: 'lost' }

/** The exit status a shell shows: the code itself, 128 + n for signals, 137 for memory, 255 for unknown. */
export function shellStatus(exit: Exit): number {
  switch (exit.kind) {
    case 'exited':
      return exit.code
    case 'signaled':
      return 128 + exit.signal
    case 'out-of-memory':
      return 137
    case 'lost':
      return 255
  }
}

/** The same in a few words for people. */
export function describeExit(exit: Exit): string {
  switch (exit.kind) {
    case 'exited':
      return `exited with code ${exit.code}`
    case 'signaled':
      return `was killed by signal ${exit.signal}`
    case 'out-of-memory':
      return 'ran out of memory'
    case 'lost':
      return 'ended unseen'
  }
}
