import { ERROR_CODES, type CoveError, type ErrorCode } from '@cove/domain'

/** The registry speaks of commands of `cove`; who calls tools has tools. */
const FIXES = new Map<ErrorCode, string>([
  ['sandbox-not-found', 'Call list_environments to see what there is, or create_environment.'],
  ['sandbox-gone', 'This environment has ended; create a new one with create_environment.'],
  ['process-not-found', 'Call list_processes to see what there is.'],
  ['wrong-state', 'Call list_environments to see its status, or list_processes for that of a process.'],
  ['payload-too-large', 'Work in smaller parts.'],
  ['quota-exceeded', 'Destroy environments that are no longer needed.'],
  ['deadline-exceeded', 'Allow more time with timeout_seconds, or start it with start_process.'],
])

/** What the caller can do now: what the place of the error knows best, else what can be said of its code. */
export function toolFix({ code, fix }: CoveError): string {
  return fix === ERROR_CODES[code].fix ? (FIXES.get(code) ?? fix) : fix
}
