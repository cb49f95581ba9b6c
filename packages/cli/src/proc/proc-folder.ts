import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import { readPrivateJson, writePrivateJson } from './private-json.ts'
import { isProcName } from './proc-name.ts'
import { readSpec, type ProcSpec } from './proc-spec.ts'
import { readState, type ProcState } from './proc-state.ts'

/** What is kept of one supervised process. Every file has one writer; nobody else may look into it. */
export class ProcFolder {
  readonly path: string
  /** Of the supervisor; the one before it has `.1` behind its name. */
  readonly log: string
  readonly #spec: string
  readonly #state: string
  readonly #grace: string

  constructor(path: string) {
    this.path = path
    this.log = join(path, 'log')
    this.#spec = join(path, 'spec.json')
    this.#state = join(path, 'state.json')
    this.#grace = join(path, 'grace.json')
  }

  async make(): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 })
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
  }

  /** By the command line. */
  writeSpec(spec: ProcSpec): void {
    writePrivateJson(this.#spec, spec)
  }

  readSpec(): ProcSpec | undefined {
    return readPrivateJson(this.#spec, readSpec)
  }

  /** By the supervisor. */
  writeState(state: ProcState): void {
    writePrivateJson(this.#state, state)
  }

  readState(): ProcState | undefined {
    return readPrivateJson(this.#state, readState)
  }

  /** By the command line: how long the supervisor is to wait for the process when it is told to stop. */
  writeGrace(graceMs: number): void {
    writePrivateJson(this.#grace, { graceMs })
  }

  readGrace(): number | undefined {
    return readPrivateJson(this.#grace, (fields) => fields.number('graceMs'))
  }

  /** Grace that was asked for once. */
  async forgetGrace(): Promise<void> {
    await rm(this.#grace, { force: true })
  }
}

/** Where the folders of all of them are, one below its name each. */
export function allProcs(dataDir: string): string {
  return join(dataDir, 'procs/all')
}

/** Names of those that are kept below this folder. */
export async function procNames(folder: string): Promise<readonly string[]> {
  try {
    // A file manager may leave its own there.
    return (await readdir(folder)).filter(isProcName).toSorted()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw CoveError.from(error, 'io-error')
  }
}
