import { CoveError } from '@cove/domain'

export type Variables = Readonly<Record<string, string>>

export interface AppendedVariable {
  readonly name: string
  readonly value: string
  readonly separator: string
}

/** Where the environment of a process comes from; later layers go before earlier ones. */
export interface EnvironmentLayers {
  /** What the backend gives every process. */
  readonly base: Readonly<Record<string, string | undefined>>
  readonly environment: Variables
  readonly process: Variables
  /** In the order of the calls, behind what the variable has by then. */
  readonly appended: readonly AppendedVariable[]
  /** Put in front of PATH, the last one first. */
  readonly binaryFolders: readonly string[]
}

/** Where programs are looked for when nothing says where. */
export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export function mergeEnvironment(layers: EnvironmentLayers): Record<string, string> {
  const merged: Record<string, string> = {}
  for (const layer of [layers.base, layers.environment, layers.process]) {
    for (const [name, value] of Object.entries(layer)) if (value !== undefined) merged[name] = value
  }
  for (const { name, value, separator } of layers.appended) {
    const before = merged[name] ?? ''
    merged[name] = before === '' ? value : `${before}${separator}${value}`
  }
  if (layers.binaryFolders.length > 0) {
    merged['PATH'] = [...layers.binaryFolders.toReversed(), merged['PATH'] ?? DEFAULT_PATH].join(':')
  }
  return merged
}

/** `invalid-argument` for what no process could be given. */
export function checkVariables(variables: Variables): void {
  for (const [name, value] of Object.entries(variables)) {
    if (name === '' || /[=\0]/.test(name)) {
      throw new CoveError('invalid-argument', 'the name of an environment variable is empty, or has "=" or NUL', {
        field: 'environment',
      })
    }
    if (value.includes('\0')) {
      throw new CoveError('invalid-argument', `the environment variable ${name} has a NUL`, { field: 'environment' })
    }
  }
}

/** `invalid-argument` for a program or an argument that no process could be given. */
export function checkWords(words: readonly string[]): void {
  if (words[0] === '') throw new CoveError('invalid-argument', 'the program has no name', { field: 'program' })
  if (words.some((word) => word.includes('\0'))) {
    throw new CoveError('invalid-argument', 'an argument has a NUL', { field: 'args' })
  }
}
