import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CliProcess } from './cli-process.ts'
import { runCove, type Ended } from './daemon.ts'

export interface ShownProc {
  readonly name: string
  readonly backend: string
  readonly state: string
  readonly ready?: boolean
  readonly pid?: number
  readonly restarts: number
  readonly exit?: { readonly kind: string; readonly code?: number; readonly signal?: number }
  readonly reason?: string
  readonly since?: string
  readonly description?: string
}

/** An installation of its own with supervised processes, and nothing left of it at the end. */
export class TestProcs implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  readonly dataDir = join(this.folder, 'data')
  readonly env: NodeJS.ProcessEnv

  constructor(env: NodeJS.ProcessEnv = {}) {
    this.env = { COVE_DATA_DIR: this.dataDir, ...env }
  }

  /** `cove proc …`, in the folder. */
  proc(...args: readonly string[]): Promise<Ended> {
    return runCove(['proc', ...args], { env: this.env, cwd: this.folder })
  }

  /** The same; fails when that fails. */
  async ok(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.proc(...args)
    if (status !== 0) throw new Error(`cove proc ${args.join(' ')} ended with ${status}: ${stderr}`)
    return stdout
  }

  begin(...args: readonly string[]): CliProcess {
    return new CliProcess(['proc', ...args], this.env, { cwd: this.folder })
  }

  async get(name: string): Promise<ShownProc> {
    return JSON.parse(await this.ok('get', name, '--json')) as ShownProc
  }

  /** Looks until it is so, for at most 20 s. */
  async until(name: string, wanted: (proc: ShownProc) => boolean): Promise<ShownProc> {
    const deadline = performance.now() + 20_000
    for (;;) {
      const found = await this.get(name)
      if (wanted(found)) return found
      if (performance.now() > deadline) throw new Error(`it is ${JSON.stringify(found)}`)
    }
  }

  get runtimeDir(): string {
    const note = readFileSync(join(this.dataDir, 'procs/runtime-dir'), 'utf8')
    return (JSON.parse(note) as { path: string }).path
  }

  file(name: string, file: string): string {
    return join(this.dataDir, 'procs/all', name, file)
  }

  supervisors(): readonly number[] {
    return pidsOf((words) => words.includes('__supervise') && words.some((word) => word.startsWith(this.dataDir)))
  }

  launchers(): readonly number[] {
    const { runtimeDir } = this
    return pidsOf((words) => words[1] === 'launcher' && words.includes(runtimeDir))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { status, stderr } = await this.proc('rm', '--all', '--force')
    rmSync(this.folder, { recursive: true, force: true })
    if (status !== 0) throw new Error(`cove proc rm --all --force failed: ${stderr}`)
    const left = this.supervisors()
    if (left.length > 0) throw new Error(`supervisors are left: ${left.join(', ')}`)
  }
}

function pidsOf(wanted: (words: readonly string[]) => boolean): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && wanted(wordsOf(name)))
    .map(Number)
}

function wordsOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

/** False for zombies too. */
export function lives(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
