import { readFileSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type HostProcess, type HostProcessSpec, type Launcher, openLauncher } from '../../src/index.ts'

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))

/** The guest program as `tooling/build-guest.sh` builds it, or another one to try. */
export const GUEST_PROGRAM = process.env['COVE_TEST_GUEST'] ?? join(ROOT, 'build/cove-guest')

/** A folder with a launcher in it that ends with the test and takes everything along. */
export interface Bench extends AsyncDisposable {
  readonly folder: string
  readonly stateDir: string
  readonly launcher: Launcher
  /** Another connection, such as that of the daemon's successor. */
  connect(options?: { installation?: string; idleMs?: number; binary?: string }): Promise<Launcher>
  /** Pid of the launcher program. */
  launcherPid(): Promise<number>
  record(id: string): Promise<string>
  start(id: string, script: string, more?: Partial<HostProcessSpec>): Promise<HostProcess>
}

export async function openBench(options: { stateDir?: string; binary?: string } = {}): Promise<Bench> {
  const binary = options.binary ?? GUEST_PROGRAM
  const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  await chmod(folder, 0o755)
  const stateDir = options.stateDir ?? join(folder, 's')
  const opened: Launcher[] = []
  const connect: Bench['connect'] = async ({ installation = 'test', idleMs = 2000, binary: other = binary } = {}) => {
    const launcher = await openLauncher({ binary: other, stateDir, installation, idleMs })
    opened.push(launcher)
    return launcher
  }
  const launcher = await connect()
  return {
    folder,
    stateDir,
    launcher,
    connect,
    launcherPid: async () => await launcherPid(launcher, stateDir),
    record: async (id) => await readFile(join(stateDir, 'records', `${id}.record`), 'utf8'),
    start: async (id, script, more = {}) => await launcher.start(shell(id, script, more)),
    async [Symbol.asyncDispose]() {
      await using last = await openLauncher({ binary, stateDir, installation: 'test', idleMs: 2000 })
      for (const process of await last.list()) await last.destroy(process.id)
      for (const one of opened) await one.close()
      await last.stopLauncher()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A durable process that runs a shell script with nothing but a PATH. */
export function shell(id: string, script: string, more: Partial<HostProcessSpec> = {}): HostProcessSpec {
  return { id, owner: 'durable', argv: ['/bin/sh', '-c', script], env: { PATH: '/usr/bin:/bin' }, ...more }
}

async function launcherPid(launcher: Launcher, stateDir: string): Promise<number> {
  const probe = `probe-${process.pid}`
  await launcher.start(shell(probe, 'exit 0'))
  const text = await readFile(join(stateDir, 'records', `${probe}.record`), 'utf8')
  await launcher.destroy(probe)
  return Number(/^launcher (\d+) /m.exec(text)?.[1])
}

/** False for zombies too: whoever reaps orphans here may take its time. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Waits for something that has no event, checking every few milliseconds for at most 10 s. */
export async function eventually<T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 10_000
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error('it did not happen within 10 s')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export const isRoot = process.getuid?.() === 0

/** Everything that a process with held output has said, once it has ended. */
export const said = async (process: HostProcess): Promise<string> => {
  await process.exited
  const [out, err] = [await process.output('stdout'), await process.output('stderr')]
  return Buffer.from(out).toString() + Buffer.from(err).toString()
}
