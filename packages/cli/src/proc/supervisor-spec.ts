import type { HostProcessSpec } from '@cove/runner'
import type { Io } from '../io.ts'

export interface SupervisorPlace {
  readonly id: string
  readonly name: string
  readonly folder: string
  readonly stateFolder: string
  readonly installation: string
  readonly guestProgram: string
  readonly env: Io['env']
}

/** Would change what the supervisor is, or mark it as a part of something else. */
const NOT_FOR_IT = ['NODE_OPTIONS', 'NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE', 'COVE_RECORD']

/** This program once more, as a supervisor that outlives it. */
export function supervisorSpec({ id, name, env, ...place }: SupervisorPlace): HostProcessSpec {
  const variables: Record<string, string> = {}
  for (const [key, value] of Object.entries(env)) {
    if (value !== undefined && !NOT_FOR_IT.includes(key)) variables[key] = value
  }
  const { folder, stateFolder, installation, guestProgram } = place
  const args = ['__supervise', folder, stateFolder, installation, guestProgram]
  return {
    id,
    owner: 'durable',
    note: name,
    argv: [process.execPath, ...process.execArgv, process.argv[1] ?? '', ...args],
    env: variables,
    cwd: folder,
    stdio: 'held',
  }
}
