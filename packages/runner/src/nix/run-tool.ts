import type { Exit } from '@cove/domain'

/** Runs a program to its end and answers with what it said. */
export type RunTool = (
  argv: readonly string[],
  options: { readonly directory: string; readonly onErrorLine: (line: string) => void },
  signal: AbortSignal | undefined,
) => Promise<{ readonly stdout: string; readonly exit: Exit }>
