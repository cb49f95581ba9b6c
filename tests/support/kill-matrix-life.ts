/**
 * One daemon's life for the kill matrix: it creates, uses, stops, starts and destroys a sandbox over the real pieces,
 * says on stdout what was answered, and at the chosen step kills itself, its launcher, or both.
 *
 * Reads one line of JSON from stdin first, so that it can be started ahead of time.
 */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { CoveError, parseProcessId, parseSandboxId, type Guest, type SandboxSpec } from '@cove/domain'
import type { CoveNode } from '@cove/node'
import { launcherPids, openSpine } from './spine.ts'

export type Victim = 'daemon' | 'launcher' | 'both'

export interface LifeOptions {
  readonly folder: string
  readonly installation: string
  readonly sandbox: string
  readonly victim: Victim
  readonly kill: Kill
  /** Only opens over what is there, and ends; the steps are those of opening. */
  readonly openOnly?: boolean
}

/** At one step (-1: at none, and every step is said), or so many milliseconds after the first call. */
export type Kill = { readonly step: number } | { readonly afterMs: number }

export const PROCESS = parseProcessId('ticker')
export const NOTE = '/home/user/note'
export const NOTE_TEXT = 'written before the kill'

export function specOf(sandbox: string): SandboxSpec {
  return {
    id: parseSandboxId(sandbox),
    project: 'default',
    template: 'host',
    from: { kind: 'host' },
    volumes: [],
    limits: { memoryBytes: { value: 256 * 1024 * 1024, required: false } },
    network: { kind: 'none' },
    env: {},
    labels: {},
    idleTimeout: 'never',
    lifetime: 'never',
    createdAt: 0,
  }
}

const say = (line: string): void => void writeSync(1, `${line}\n`)

async function live(options: LifeOptions): Promise<void> {
  const killAt = 'step' in options.kill ? options.kill.step : Number.NaN
  let taken = 0
  let armed = options.openOnly === true
  const kill = (where: string): void => {
    say(`kill ${where}`)
    if (options.victim !== 'daemon') for (const pid of launcherPids(options.folder)) process.kill(pid, 'SIGKILL')
    if (options.victim !== 'launcher') process.kill(process.pid, 'SIGKILL')
  }
  const step = async (name: string): Promise<void> => {
    if (!armed) return
    if (killAt === -1) say(`step ${name}`)
    if (taken++ !== killAt) return
    kill(name)
    if (options.victim !== 'launcher') await new Promise(() => {})
  }
  await using spine = await openSpine(options.folder, options.installation, { step })
  const { node } = spine
  await node.ready()
  if (options.openOnly === true) {
    await node.settled()
    await step('the end')
    return
  }
  armed = true
  const timer = 'afterMs' in options.kill ? setTimeout(kill, options.kill.afterMs, 'at this moment') : undefined
  await useSandbox(node, specOf(options.sandbox))
  await node.settled()
  await step('the end')
  armed = false
  clearTimeout(timer)
}

async function useSandbox(node: CoveNode, spec: SandboxSpec): Promise<void> {
  const { id } = spec
  await call('create 1', () => node.create({ spec, incarnation: 1 }))
  await call('exec', async () => await startTicker(await node.guest(id, 1)))
  await call('write', async () => await writeNote(await node.guest(id, 1)))
  await call('stop', () => node.stop(id, 1, 200))
  await call('create 2', () => node.create({ spec, incarnation: 2 }))
  await call('destroy', () => node.destroy(id))
}

/** A process that goes on for long, with output that nobody reads. */
export async function startTicker(guest: Guest): Promise<void> {
  try {
    await guest.start({ id: PROCESS, argv: ['/bin/sh', '-c', 'echo unread; exec sleep 1000'], env: {} })
  } catch (error) {
    // A start that was repeated: the first one was carried out, only its answer was lost.
    if (!(error instanceof CoveError) || error.code !== 'already-exists') throw error
  }
}

export async function writeNote(guest: Guest): Promise<void> {
  await guest.writeFile(NOTE, content())
}

async function* content(): AsyncGenerator<Uint8Array, void> {
  yield Buffer.from(NOTE_TEXT)
}

/** Repeats what may be repeated, as the control plane does. */
async function call(name: string, work: () => Promise<unknown>): Promise<void> {
  say(`doing ${name}`)
  for (let attempt = 0; ; attempt++) {
    try {
      await work()
      break
    } catch (thrown) {
      const error = CoveError.from(thrown)
      if (!error.transient || attempt >= 20) throw error
      say(`again ${name}: ${error.code} ${error.message}`)
      await delay(50)
    }
  }
  say(`done ${name}`)
}

if (process.argv[1] === import.meta.filename) {
  const lines = createInterface({ input: process.stdin })
  for await (const line of lines) {
    await live(JSON.parse(line) as LifeOptions)
    break
  }
  lines.close()
  say('end')
}
