import { ERROR_CODES, isErrorCode, type ErrorCode } from './codes.ts'

/** Facts about one error for programs; values are short, printable and never secret. */
export type ErrorContext = Readonly<Record<string, string | number | boolean>>

interface Options {
  readonly cause?: unknown
  /** Replaces the registry's remediation where the place of the error knows a better one. */
  readonly fix?: string
}

/** The only error that crosses a room's door. */
export class CoveError extends Error {
  override readonly name = 'CoveError'
  readonly code: ErrorCode
  readonly context: ErrorContext
  readonly fix: string

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}, options: Options = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.context = context
    this.fix = options.fix ?? ERROR_CODES[code].fix
  }

  get transient(): boolean {
    return ERROR_CODES[this.code].transient
  }

  /** Finds this error in the daemon's log; only errors that crossed a wire have one. */
  get requestId(): string | undefined {
    const id = this.context['requestId']
    return typeof id === 'string' ? id : undefined
  }

  /** Total: whatever was thrown becomes a CoveError, with the original as its cause. */
  static from(thrown: unknown, fallback: ErrorCode = 'internal'): CoveError {
    if (thrown instanceof CoveError) return thrown
    if (thrown instanceof Error) {
      if (thrown.name === 'AbortError')
        return new CoveError('cancelled', 'the call was cancelled', {}, { cause: thrown })
      if (thrown.name === 'TimeoutError')
        return new CoveError('deadline-exceeded', 'the call took too long', {}, { cause: thrown })
      const code = fromErrno((thrown as NodeJS.ErrnoException).code) ?? fallback
      return new CoveError(code, thrown.message, {}, { cause: thrown })
    }
    return new CoveError(fallback, String(thrown))
  }

  /** Reads an error that crossed a wire; unknown codes become `internal` and keep their message. */
  static fromWire(code: string, message: string, context: ErrorContext = {}, fix?: string): CoveError {
    if (!isErrorCode(code)) return new CoveError('internal', `${message} (${code})`, context)
    return new CoveError(code, message, context, fix === undefined ? {} : { fix })
  }
}

function fromErrno(errno: string | undefined): ErrorCode | undefined {
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'no-space'
    case 'EADDRINUSE':
      return 'address-in-use'
    default:
      return undefined
  }
}
