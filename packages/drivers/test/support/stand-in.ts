import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, stop } from 'esbuild'
import type { CallName } from '../../src/firecracker/api-contract.ts'
import type { Failures, Plan } from '../../src/firecracker/testing/plan.ts'
import { GUEST_PROGRAM } from './host-rig.ts'

const sourceOf = (name: string): string =>
  fileURLToPath(new URL(`../../src/firecracker/testing/${name}`, import.meta.url))

/** Programs `firecracker` and `jailer` that pretend, in a folder of their own, with the failures that a story wants. */
export interface StandIns extends AsyncDisposable {
  readonly folder: string
  readonly firecracker: string
  readonly jailer: string
  setFailures(failures: Failures): Promise<void>
  /** Every call that any of them was asked for, since the last time. */
  calls(): Promise<readonly { readonly call: CallName; readonly body?: unknown }[]>
}

export async function makeStandIns(): Promise<StandIns> {
  const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  const plan: Plan = { agent: GUEST_PROGRAM, homes: join(folder, 'homes'), calls: join(folder, 'calls') }
  const planPath = join(folder, 'plan.json')
  const setFailures = (failures: Failures) => writeFile(planPath, JSON.stringify({ ...plan, failures }))
  // In one piece: it is started for every machine of a story.
  const program = join(folder, 'stand-in.mjs')
  await build({
    entryPoints: [sourceOf('stand-in.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
  })
  // Its service would go on by itself.
  await stop()
  const firecracker = join(folder, 'firecracker')
  await writeFile(firecracker, `#!/bin/sh\nexec ${process.execPath} ${program} --plan ${planPath} "$@"\n`)
  await chmod(firecracker, 0o755)
  const jailer = join(folder, 'jailer')
  await copyFile(sourceOf('stand-in-jailer.sh'), jailer)
  await chmod(jailer, 0o755)
  await setFailures({})
  await mkdir(plan.homes)
  let told = 0
  return {
    folder,
    firecracker,
    jailer,
    setFailures,
    calls: async () => {
      const text = await readFile(plan.calls ?? '', 'utf8').catch(() => '')
      const lines = text.split('\n').slice(0, -1)
      return lines
        .slice(told, (told = lines.length))
        .map((line) => JSON.parse(line) as { call: CallName; body?: unknown })
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

/** One of them by itself, without launcher and jail. */
export interface RunningStandIn extends AsyncDisposable {
  readonly socket: string
  /** What it has said on its standard output. */
  console(): string
  readonly exited: Promise<number | NodeJS.Signals | null>
  readonly process: ChildProcess
}

export async function runStandIn({ folder, firecracker }: StandIns, name: string): Promise<RunningStandIn> {
  const place = join(folder, name)
  await mkdir(place, { recursive: true })
  const socket = join(place, 'api')
  const child = spawn(firecracker, ['--api-sock', socket, '--id', name], {
    cwd: place,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals | null)
  return {
    socket,
    console: () => said,
    exited,
    process: child,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      child.kill('SIGCONT')
      await exited
    },
  }
}
