import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newSandboxId, randomId, type NodeSandbox } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import {
  NOTE,
  NOTE_TEXT,
  PROCESS,
  specOf,
  startTicker,
  writeNote,
  type Kill,
  type LifeOptions,
  type Victim,
} from './support/kill-matrix-life.ts'
import { launcherPids, machinePids, openSpine, type Spine } from './support/spine.ts'

/** About as long as a life takes, from its first call to its last. */
const LIFE_MS = 250
const MOMENTS = 8
const LIFE = join(import.meta.dirname, 'support/kill-matrix-life.ts')

type Child = ChildProcessByStdio<Writable, Readable, null>

/** What the caller of the dead daemon knows. */
interface Ledger {
  readonly done: ReadonlySet<string>
  /** The call that was under way. */
  readonly doing: string | undefined
  readonly lines: readonly string[]
}

const installation = `killmatrix-${randomId(systemRandom).slice(0, 6)}`
let folder: string
let standby: Child | undefined

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
})

afterAll(async () => {
  standby?.kill('SIGKILL')
  const spine = await openSpine(folder, installation)
  // Only what a failed test has left.
  for (const { id } of await spine.node.list()) await spine.node.destroy(id)
  await spine.node.settled()
  await spine.launcher.stopLauncher()
  await spine[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

function startLife(): Child {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', LIFE], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // A hundred of them start: what they compile is kept.
    env: { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') },
  })
  child.stdin.on('error', () => {})
  return child
}

/** Runs one life to its end or its death; the next one is loading meanwhile. */
async function live(options: LifeOptions): Promise<Ledger> {
  const child = standby ?? startLife()
  standby = startLife()
  child.stdin.end(`${JSON.stringify(options)}\n`)
  const lines = await Array.fromAsync(createInterface({ input: child.stdout }))
  const said = (word: string): string[] =>
    lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1))
  const done = new Set(said('done'))
  return { done, doing: said('doing').find((name) => !done.has(name)), lines }
}

/** The states that a sandbox may be in for somebody who knows this ledger; `undefined`: it is not there. */
function allowed({ done, doing }: Ledger): readonly (string | undefined)[] {
  switch (doing) {
    case 'create 1':
      return [undefined, 'running 1']
    case 'exec':
    case 'write':
      return ['running 1']
    case 'stop':
      return ['running 1', 'ended 1', 'stopped 1']
    case 'create 2':
      return ['stopped 1', 'running 2']
    case 'destroy':
      return ['running 2', 'ended 2', undefined]
    default:
      return done.has('destroy') ? [undefined] : []
  }
}

const nameOf = (sandbox: NodeSandbox | undefined): string | undefined =>
  sandbox === undefined ? undefined : `${sandbox.state} ${sandbox.incarnation}`

/** What was answered is there: the state, the process with its unread output, the file also over a stop. */
async function checkKept({ node }: Spine, sandbox: string, ledger: Ledger): Promise<void> {
  const spec = specOf(sandbox)
  const [found, ...others] = await node.list()
  expect(others).toEqual([])
  expect(allowed(ledger)).toContain(nameOf(found))
  if (found === undefined) return
  if (found.state === 'running') await checkProcess(await node.guest(spec.id, found.incarnation), found, ledger)
  else await node.create({ spec, incarnation: found.incarnation + 1 })
  const incarnation = found.state === 'running' ? found.incarnation : found.incarnation + 1
  const guest = await node.guest(spec.id, incarnation)
  const kept = ledger.done.has('write')
    ? Buffer.concat(await Array.fromAsync((await guest.readFile(NOTE)).content)).toString('utf8')
    : NOTE_TEXT
  expect(kept).toBe(NOTE_TEXT)
}

async function checkProcess(guest: Awaited<ReturnType<Spine['node']['guest']>>, found: NodeSandbox, ledger: Ledger) {
  const expected = ledger.done.has('exec') && found.incarnation === 1 ? 1 : 0
  const [process] = (await guest.processes()).filter(({ id }) => id === PROCESS)
  if (expected === 0) return
  expect(process).toMatchObject({ outputTo: 'unread\n'.length })
  expect(process).not.toHaveProperty('exit')
  const { events } = await guest.attach(PROCESS, 0)
  for await (const event of events) {
    expect(event).toMatchObject({ type: 'output', stream: 'stdout', offset: 0, data: Buffer.from('unread\n') })
    break
  }
}

/** After the sandbox is destroyed there is nothing: no process, no control group, no record, no file. */
async function checkNothingLeft({ node, launcher, driver, store }: Spine): Promise<void> {
  await node.settled()
  expect(await node.list()).toEqual([])
  // The trial of a network takes itself back, and may be at it.
  await expect.poll(() => launcher.list(), { timeout: 20_000 }).toEqual([])
  expect(await driver.listDisks()).toEqual([])
  expect((await store.range({ prefix: 'machine/' })).items).toEqual([])
  expect(readdirSync(join(folder, 'run/machines'))).toEqual([])
  expect(readdirSync(join(folder, 'run/disks'))).toEqual([])
  expect(machinePids(installation)).toEqual([])
}

async function killAndReopen(victim: Victim, kill: Kill): Promise<Ledger> {
  const sandbox = newSandboxId(systemRandom)
  const ledger = await live({ folder, installation, sandbox, victim, kill })
  try {
    await using spine = await openSpine(folder, installation)
    await spine.node.ready()
    await spine.node.settled()
    await checkKept(spine, sandbox, ledger)
    await spine.node.destroy(sandbox)
    await checkNothingLeft(spine)
    expect(launcherPids(folder)).toHaveLength(1)
  } catch (cause) {
    throw new Error(`${victim} killed at ${JSON.stringify(kill)}:\n${ledger.lines.join('\n')}`, { cause })
  }
  return ledger
}

describe('the kill matrix', () => {
  it.each<Victim>(['daemon', 'launcher', 'both'])(
    'loses nothing and leaves nothing when %s dies at any step',
    async (victim) => {
      const { lines } = await killAndReopen(victim, { step: -1 })
      const steps = lines.filter((line) => line.startsWith('step '))
      expect(steps.length).toBeGreaterThan(25)
      for (let step = 0; step < steps.length; step++) {
        const ledger = await killAndReopen(victim, { step })
        expect(ledger.lines.some((line) => line.startsWith('kill '))).toBe(true)
        expect(ledger.lines.includes('end')).toBe(victim === 'launcher')
      }
    },
    600_000,
  )

  it.each<Victim>(['daemon', 'launcher', 'both'])(
    'loses nothing and leaves nothing when %s dies at any moment',
    async (victim) => {
      for (let run = 0; run < MOMENTS; run++) {
        const afterMs = (LIFE_MS / MOMENTS) * (run + Math.random())
        const ledger = await killAndReopen(victim, { afterMs })
        expect(ledger.lines.length).toBeGreaterThan(0)
      }
    },
    300_000,
  )

  it.each<Victim>(['daemon', 'launcher', 'both'])(
    'loses nothing when %s dies at any step of opening over a running sandbox',
    async (victim) => {
      const sandbox = newSandboxId(systemRandom)
      await using first = await openSpine(folder, installation)
      await first.node.create({ spec: specOf(sandbox), incarnation: 1 })
      await startTicker(await first.node.guest(sandbox, 1))
      await writeNote(await first.node.guest(sandbox, 1))
      await first[Symbol.asyncDispose]()
      const life = { folder, installation, sandbox, victim, openOnly: true }
      const { lines } = await live({ ...life, kill: { step: -1 } })
      const steps = lines.filter((line) => line.startsWith('step '))
      expect(steps).toContain('step store.txn')
      for (let step = 0; step < steps.length; step++) {
        const dead = await live({ ...life, kill: { step } })
        expect(dead.lines).toContain(`kill ${steps[step]?.slice('step '.length)}`)
        await using spine = await openSpine(folder, installation)
        await checkKept(spine, sandbox, { ...dead, done: new Set(['create 1', 'exec', 'write']), doing: 'write' })
      }
      await using last = await openSpine(folder, installation)
      await last.node.destroy(sandbox)
      await checkNothingLeft(last)
    },
    300_000,
  )
})
