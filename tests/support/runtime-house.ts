import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomId, silentLog } from '@cove/domain'
import { systemClock, systemRandom } from '@cove/domain/system'
import {
  keyRing,
  openRuntimes,
  openServer,
  type CodeResult,
  type CreateRequest,
  type InstallPackages,
  type RunCode,
  type RuntimeCommands,
  type Runtimes,
  type Sandboxes,
} from '@cove/server'
import { MemoryStore } from '@cove/store'
import { machinePids, openSpine } from './spine.ts'

/** What a run came to, as text. */
export interface Outcome {
  readonly stdout: string
  readonly stderr: string
  readonly status: number | string
  readonly result: CodeResult
}

/** Runtimes over the real server, the real node and real sandboxes. */
export interface RuntimeHouse extends AsyncDisposable {
  readonly sandboxes: Sandboxes
  readonly runtimes: Runtimes
  runtimesWith(commands: RuntimeCommands): Runtimes
  /** Answers with the id. */
  create(request?: Partial<CreateRequest>): Promise<string>
  run(sandbox: string, request: Pick<RunCode, 'runtime' | 'code'> & Partial<RunCode>): Promise<Outcome>
  install(
    sandbox: string,
    request: Partial<InstallPackages> & Pick<InstallPackages, 'runtime' | 'packages'>,
  ): Promise<Outcome>
}

export const SCOPE = { project: 'default' }
const CREATE: CreateRequest = { limits: {}, network: { kind: 'none' }, env: {}, labels: {} }
const NEVER = new AbortController().signal

export async function openRuntimeHouse(): Promise<RuntimeHouse> {
  await using undo = new AsyncDisposableStack()
  const clock = systemClock
  const random = systemRandom
  const installation = `runtimes-${randomId(random).slice(0, 6)}`
  const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  undo.defer(() => rmSync(folder, { recursive: true, force: true }))
  const { node, launcher } = undo.use(await openSpine(folder, installation))
  undo.defer(() => launcher.stopLauncher())
  undo.defer(async () => {
    await Promise.all((await node.list()).map(({ id }) => node.destroy(id)))
    await node.settled()
    const left = machinePids(installation)
    if (left.length > 0) throw new Error(`processes are left over: ${left.join(' ')}`)
  })
  await node.ready()
  const { sandboxes } = undo.use(
    await openServer({
      store: new MemoryStore({ clock }),
      node,
      clock,
      random,
      log: silentLog,
      version: '0.0.0',
      installation,
      keys: keyRing([]),
    }),
  )
  const runtimesWith = (commands: RuntimeCommands) => openRuntimes({ sandboxes, random, clock, commands })
  const runtimes = runtimesWith({})
  const owned = undo.move()
  return {
    sandboxes,
    runtimes,
    runtimesWith,
    async create(request = {}) {
      const { spec } = await sandboxes.create(SCOPE, { ...CREATE, ...request })
      return spec.id
    },
    async run(sandbox, request) {
      const all = { timeoutMs: 30_000, maxOutputBytes: 100_000, ...request }
      return outcomeOf(await runtimes.run(SCOPE, sandbox, all, NEVER))
    },
    async install(sandbox, request) {
      const all = { timeoutMs: 60_000, maxOutputBytes: 100_000, ...request }
      return outcomeOf(await runtimes.install(SCOPE, sandbox, all, NEVER))
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function outcomeOf(result: CodeResult): Outcome {
  const { stdout, stderr, exit } = result
  return {
    stdout: Buffer.from(stdout.bytes).toString('utf8'),
    stderr: Buffer.from(stderr.bytes).toString('utf8'),
    status: exit.kind === 'exited' ? exit.code : exit.kind === 'signaled' ? `signal ${exit.signal}` : exit.kind,
    result,
  }
}
