import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CoveError, randomId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { openRunner, sweepDocker, type HostProcess, type Runner } from '@cove/runner'
import { openDataDir, type DataDir } from '../daemon/data-dir.ts'
import { openRuntimeDir, removeRuntimeDir } from '../daemon/runtime-dir.ts'
import type { Io } from '../io.ts'
import { writeWarning } from '../render/error.ts'
import { ensureGuestProgram } from '../setup/guest-program.ts'
import { withFileLock } from './file-lock.ts'
import { FolderWatch } from './folder-watch.ts'
import { allProcs, ProcFolder, procNames } from './proc-folder.ts'
import { isLive, procInfo, type ProcInfo } from './proc-info.ts'
import { checkProcName, nameAfter } from './proc-name.ts'
import type { ProcSpec } from './proc-spec.ts'
import { supervisorSpec } from './supervisor-spec.ts'

const SIGHUP = 1
const SIGTERM = 15
/** Beyond its own grace, to end what it runs in. */
const MARGIN_MS = 15_000

/** What becomes a spec when it has got its name. */
export type ProcWish = Omit<ProcSpec, 'version' | 'name' | 'supervisor'>

/**
 * The supervised processes of an installation. Each has a supervisor, which is a durable process of a launcher that is
 * theirs alone; what the supervisor starts ends with it. All changes are made under one lock.
 */
export class Procs implements AsyncDisposable {
  readonly #dataDir: DataDir
  readonly #folder: string
  readonly #all: string
  readonly #io: Io
  #open: Promise<{ readonly runner: Runner; readonly runtimeDir: string; readonly guest: string }> | undefined

  private constructor(dataDir: DataDir, io: Io) {
    this.#dataDir = dataDir
    this.#folder = join(dataDir.path, 'procs')
    this.#all = allProcs(dataDir.path)
    this.#io = io
  }

  static async open(dataDir: string, io: Io): Promise<Procs> {
    const opened = await openDataDir(dataDir, systemRandom)
    const procs = new Procs(opened, io)
    await new ProcFolder(procs.#folder).make()
    return procs
  }

  folder(name: string): ProcFolder {
    return new ProcFolder(join(this.#all, checkProcName(name)))
  }

  async list(): Promise<readonly ProcInfo[]> {
    const found: ProcInfo[] = []
    for (const name of await this.names()) {
      try {
        const info = await this.find(name)
        if (info !== undefined) found.push(info)
      } catch (thrown) {
        const error = CoveError.from(thrown)
        // One that cannot be read does not hide the others.
        if (error.code !== 'config-invalid') throw error
        writeWarning(this.#io, error.message)
      }
    }
    return found
  }

  async find(name: string): Promise<ProcInfo | undefined> {
    const folder = this.folder(name)
    const spec = folder.readSpec()
    if (spec === undefined) return undefined
    const supervisor = await this.#supervisor(name)
    // Read after its supervisor was looked at: one that has ended has told all it had to tell.
    return procInfo(spec, folder.readState(), supervisor)
  }

  async get(name: string): Promise<ProcInfo> {
    const info = await this.find(name)
    if (info !== undefined) return info
    throw new CoveError(
      'process-not-found',
      `there is no supervised process ${name}`,
      { name },
      { fix: 'List them with `cove proc ls`.' },
    )
  }

  /** Starts a supervisor for it; answers with its name when the supervisor works. `already-exists` while one does. */
  async start(wish: ProcWish, name: string | undefined): Promise<string> {
    return await this.#locked(async () => {
      const chosen = name === undefined ? await this.#freeName(wish.program) : checkProcName(name)
      const before = await this.find(chosen)
      if (before !== undefined && isLive(before)) {
        throw new CoveError(
          'already-exists',
          `${chosen} is ${before.state} already`,
          { name: chosen },
          { fix: `End it with \`cove proc stop ${chosen}\`, or choose another name with --name.` },
        )
      }
      await this.#supervise({ ...wish, version: 1, name: chosen, supervisor: randomId(systemRandom) })
      return chosen
    })
  }

  /** Starts it anew with what it was started with; answers with how many runs there were before. */
  async restart(name: string): Promise<number> {
    return await this.#locked(async () => {
      const info = await this.get(name)
      const folder = this.folder(name)
      if (isLive(info)) {
        const supervisor = await this.#supervisor(name)
        const runs = folder.readState()?.status.runs ?? 0
        await supervisor?.signal(SIGHUP, 'leader')
        return runs
      }
      const spec = folder.readSpec()
      if (spec !== undefined) await this.#supervise({ ...spec, supervisor: randomId(systemRandom) })
      return 0
    })
  }

  /** Ends it; one that has ended is no error. Answers when nothing of it runs any more. */
  async stop(name: string, graceMs: number | undefined): Promise<void> {
    const folder = this.folder(name)
    const { supervisor, grace } = await this.#locked(async () => {
      await this.get(name)
      const own = folder.readSpec()?.graceMs ?? 0
      const found = await this.#supervisor(name)
      if (found?.state !== 'running') return { supervisor: undefined, grace: 0 }
      if (graceMs !== undefined) this.#sayGrace(folder, graceMs)
      await found.signal(SIGTERM, 'leader')
      return { supervisor: found, grace: graceMs ?? own }
    })
    if (supervisor === undefined) return
    const timer = new AbortController()
    const late = delay(grace + MARGIN_MS, 'late' as const, { signal: timer.signal }).catch(() => undefined)
    if ((await Promise.race([supervisor.exited, late])) === 'late') {
      // Whatever it waits for: what it has started ends with it.
      await this.#locked(async () => {
        const { runner } = await this.#opened()
        await runner.launcher.destroy(supervisor.id)
        await runner.launcher.sweep()
      })
    }
    timer.abort()
  }

  /** The same for one whose files hold nothing or anything: its supervisor is what counts. */
  async stopAnyway(name: string): Promise<void> {
    try {
      await this.stop(name, undefined)
    } catch (thrown) {
      const error = CoveError.from(thrown)
      if (error.code !== 'config-invalid' && error.code !== 'process-not-found') throw error
      if (!(await this.names()).includes(name)) throw error
      const { runner } = await this.#opened()
      await runner.launcher.destroy(recordOf(name))
    }
  }

  /** Forgets it with its logs. `wrong-state` while it runs. */
  async remove(name: string): Promise<void> {
    await this.#locked(async () => {
      const folder = this.folder(name)
      if (!(await this.names()).includes(name)) await this.get(name)
      const supervisor = await this.#supervisor(name)
      if (supervisor?.state === 'running') {
        throw new CoveError(
          'wrong-state',
          `${name} still runs`,
          { name },
          { fix: `End it with \`cove proc stop ${name}\` first, or use \`cove proc rm --force ${name}\`.` },
        )
      }
      if (supervisor !== undefined) await (await this.#opened()).runner.launcher.destroy(supervisor.id)
      await this.#sweepContainers(folder)
      await folder.remove()
      if ((await this.names()).length === 0) await this.#endLauncher()
    })
  }

  names(): Promise<readonly string[]> {
    return procNames(this.#all)
  }

  /** What is known now and after every change, until its supervisor has ended or the signal aborts. */
  async *watch(name: string, signal: AbortSignal): AsyncGenerator<ProcInfo & { readonly runs: number }> {
    const folder = this.folder(name)
    using watch = new FolderWatch(folder.path)
    const supervisor = await this.#supervisor(name)
    let over = false
    const gone = new AbortController()
    supervisor?.exited.then(
      () => gone.abort(),
      () => gone.abort(),
    )
    if (supervisor === undefined) gone.abort()
    while (!over && !signal.aborted) {
      const next = watch.next(AbortSignal.any([signal, gone.signal]))
      over = gone.signal.aborted
      const spec = folder.readSpec()
      if (spec === undefined) return
      const state = folder.readState()
      yield { ...procInfo(spec, state, supervisor), runs: state?.status.runs ?? 0 }
      await next
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const opened = await this.#open?.catch(() => undefined)
    await opened?.runner.close()
  }

  async #supervise(spec: ProcSpec): Promise<void> {
    const { runner, guest } = await this.#opened()
    const folder = this.folder(spec.name)
    await folder.make()
    await folder.forgetGrace()
    folder.writeSpec(spec)
    await runner.launcher.destroy(recordOf(spec.name))
    const supervisor = await runner.launcher.start(
      supervisorSpec({
        id: recordOf(spec.name),
        name: spec.name,
        folder: folder.path,
        stateFolder: runner.stateFolder,
        installation: this.#dataDir.installation,
        guestProgram: guest,
        env: this.#io.env,
      }),
    )
    await this.#works(folder, spec, supervisor)
  }

  /** Until it has told of itself: from then on it listens to signals. */
  async #works(folder: ProcFolder, spec: ProcSpec, supervisor: HostProcess): Promise<void> {
    using watch = new FolderWatch(folder.path)
    const gone = new AbortController()
    supervisor.exited.then(
      () => gone.abort(),
      () => gone.abort(),
    )
    for (;;) {
      const next = watch.next(gone.signal)
      const over = gone.signal.aborted
      if (folder.readState()?.supervisor === spec.supervisor) return
      if (over) break
      await next
    }
    const said = Buffer.from(await supervisor.output('stderr')).toString('utf8')
    throw new CoveError('internal', `the supervisor of ${spec.name} has not come up: ${said.trim().slice(-1000)}`)
  }

  /** On a full disk too it is to be ended. */
  #sayGrace(folder: ProcFolder, graceMs: number): void {
    try {
      folder.writeGrace(graceMs)
    } catch (thrown) {
      writeWarning(this.#io, `it is ended with its usual grace: ${CoveError.from(thrown).message}`)
    }
  }

  async #freeName(program: string): Promise<string> {
    const live = new Set((await this.list()).filter(isLive).map(({ name }) => name))
    return nameAfter(program, (name) => live.has(name))
  }

  async #supervisor(name: string): Promise<HostProcess | undefined> {
    const { runner } = await this.#opened()
    return await runner.launcher.get(recordOf(name))
  }

  #opened() {
    this.#open ??= this.#openRunner()
    return this.#open
  }

  async #openRunner() {
    const guest = await ensureGuestProgram('ask', this.#io)
    const runtimeDir = await openRuntimeDir(this.#folder, `${this.#dataDir.installation}-procs`)
    const runner = await openRunner({ stateFolder: runtimeDir, guestProgram: guest })
    return { runner, runtimeDir, guest }
  }

  /** What a supervisor that was killed could not remove any more. */
  async #sweepContainers(folder: ProcFolder): Promise<void> {
    try {
      if (folder.readSpec()?.image === undefined) return
      await sweepDocker({ installation: this.#dataDir.installation, hostEnvironment: this.#io.env })
    } catch {
      // The next one in a container tries again.
    }
  }

  /** Nothing is left that needs one. */
  async #endLauncher(): Promise<void> {
    const { runner, runtimeDir } = await this.#opened()
    this.#open = undefined
    try {
      await runner.launcher.stopLauncher()
    } catch {
      // It still has something to end, and ends by itself later.
      return
    } finally {
      await runner.close()
    }
    await removeRuntimeDir(this.#folder, runtimeDir)
    await rm(this.#all, { recursive: true, force: true })
  }

  #locked<T>(work: () => Promise<T>): Promise<T> {
    return withFileLock(join(this.#folder, 'lock'), work)
  }
}

const recordOf = (name: string): string => `proc-${name}`
