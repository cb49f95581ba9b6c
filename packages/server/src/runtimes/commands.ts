import { CoveError } from '@cove/domain'
import type { RuntimeName } from './runtimes.ts'

/** What an operator names in place of what would be found in a sandbox. */
export interface RuntimeCommand {
  /** Absolute path of the interpreter inside the sandbox. */
  readonly run?: string
  /** Program and arguments; the names of the packages follow. Then nothing else prepares or looks after the packages. */
  readonly install?: readonly string[]
}

export type RuntimeCommands = Readonly<Partial<Record<RuntimeName, RuntimeCommand>>>

const SAFE_PATH = /^\/[A-Za-z0-9/._+-]*[A-Za-z0-9._+-]$/
const SAFE_ARGUMENT = /^[A-Za-z0-9/._=:@%+,-]+$/
const MAX_WORDS = 32

/** The absolute path of an interpreter. `config-invalid` otherwise. */
export function parseInterpreter(text: string, field: string): string {
  if (text.length > 1024 || !SAFE_PATH.test(text)) {
    throw refused(field, text, 'an absolute path of letters, digits and ./_+-', '/opt/venv/bin/python')
  }
  return text
}

/** An absolute path and arguments with spaces between them; nothing is quoted. `config-invalid` otherwise. */
export function parseInstaller(text: string, field: string): readonly string[] {
  const [program = '', ...rest] = text.split(' ').filter((word) => word !== '')
  const safe = SAFE_PATH.test(program) && rest.length < MAX_WORDS && rest.every((word) => SAFE_ARGUMENT.test(word))
  if (text.length > 4096 || !safe) {
    throw refused(field, text, 'an absolute path and plain arguments', '/opt/venv/bin/pip install')
  }
  return [program, ...rest]
}

function refused(field: string, text: string, want: string, example: string): CoveError {
  return new CoveError(
    'config-invalid',
    `${field}: ${JSON.stringify(text.slice(0, 80))} is not ${want}`,
    { field },
    { fix: `Give something like ${example}, as it is found inside the sandbox.` },
  )
}
