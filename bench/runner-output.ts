import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openRunner, type Line, type RunnerEnvironment } from '@cove/runner'
import { GUEST_PROGRAM } from './lib/host.ts'
import { round, type Benchmark } from './lib/result.ts'

const MIB = 1024 * 1024
const FILE_BYTES = 64 * MIB
const LINE = `${'a line of a hundred bytes '.repeat(4).slice(0, 99)}\n`

/**
 * Lines of 100 bytes from a process to a sink, whole, against the same bytes as Node's own child process gives them, as
 * they come and without lines. And how much this process grows while it gets a line that does not end.
 */
export const run: Benchmark = async ({ quick }) => {
  const times = quick ? 4 : 16
  const folder = await mkdtemp(join(tmpdir(), 'cove-bench-'))
  try {
    const file = join(folder, 'lines')
    await writeLines(file)
    const files = Array.from({ length: times }, () => file)
    await using runner = await openRunner({ stateFolder: join(folder, 's'), guestProgram: GUEST_PROGRAM, idleMs: 1000 })
    const environment = runner.native()
    await lines(environment, files.slice(0, 1))
    const rates: number[] = []
    const bases: number[] = []
    for (let index = 0; index < 3; index += 1) {
      bases.push(await raw(files))
      rates.push(await lines(environment, files))
    }
    const growth = await endless(environment, (quick ? 512 : 4096) * MIB)
    await runner.launcher.stopLauncher()
    const [best, base] = [Math.max(...rates), Math.max(...bases)]
    return {
      name: 'runner-output',
      n: 3,
      mb_per_s: round(best),
      baseline_mb_per_s: round(base),
      ratio: round(best / base),
      endless_line_growth_mib: round(growth),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function writeLines(file: string): Promise<void> {
  const stream = createWriteStream(file)
  const block = LINE.repeat(Math.ceil(MIB / LINE.length))
  for (let written = 0; written < FILE_BYTES; written += block.length) {
    if (!stream.write(block)) await once(stream, 'drain')
  }
  stream.end()
  await once(stream, 'close')
}

async function lines(environment: RunnerEnvironment, files: readonly string[]): Promise<number> {
  let bytes = 0
  const proc = await environment.newProcess('cat', ...files)
  proc.withOutput((line) => {
    if (line.continued || line.text.length !== LINE.length - 1) throw new Error('a line was split')
    bytes += LINE.length
  })
  const start = performance.now()
  await proc.run()
  return rate(bytes, files, start)
}

async function raw(files: readonly string[]): Promise<number> {
  let bytes = 0
  const start = performance.now()
  const child = spawn('cat', files, { stdio: ['ignore', 'pipe', 'ignore'] })
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  await once(child, 'close')
  return rate(bytes, files, start)
}

function rate(bytes: number, files: readonly string[], start: number): number {
  if (bytes < files.length * FILE_BYTES) throw new Error(`only ${bytes} bytes arrived`)
  return bytes / 1e6 / ((performance.now() - start) / 1000)
}

/** Mebibytes above what was there before, at most. */
async function endless(environment: RunnerEnvironment, bytes: number): Promise<number> {
  const before = process.memoryUsage.rss()
  let most = before
  let arrived = 0
  const proc = await environment.newProcess('head', '-c', String(bytes), '/dev/zero')
  proc.withOutput((line: Line) => {
    arrived += line.text.length
    most = Math.max(most, process.memoryUsage.rss())
  })
  await proc.run()
  if (arrived !== bytes) throw new Error(`only ${arrived} bytes arrived`)
  return (most - before) / MIB
}
