import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { GATES } from './gates.ts'
import type { Benchmark, Result } from './lib/result.ts'

/** npm run bench -- [names] [--quick] [--json]: prints one line of JSON per benchmark, last of all. */
const NAMES = [
  'create',
  'exec',
  'output',
  'files',
  'churn',
  'stall',
  'launcher',
  'idle',
  'density',
  'adopt',
  'install',
  'preview',
  'mcp-execute',
  'mcp-create',
  'network',
  'runner-output',
  'runner-sweep',
  'crun-create',
  'gvisor-create',
  'gvisor-fork',
  'pool-claim',
  'image-pull',
  'containerd-create',
  'docker-create',
  'container-idle',
  'vm-create',
  'vm-restore',
  'vm-fork',
  'vm-suspend',
  'vm-exec',
] as const
/** Of one room alone: run when named. */
const ROOMS = ['store'] as const
const KNOWN: readonly string[] = [...NAMES, ...ROOMS]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
})
const chosen = positionals.length === 0 ? NAMES : positionals
const unknown = chosen.filter((name) => !KNOWN.includes(name))
if (unknown.length > 0) {
  process.stderr.write(`error: no benchmark named ${unknown.join(', ')}\nfix: choose from ${KNOWN.join(', ')}\n`)
  process.exit(2)
}

let failed = 0
for (const name of chosen) {
  if (!values.json) process.stderr.write(`${name} ...\n`)
  const { run } = (await import(`./${name}.ts`)) as { run: Benchmark }
  const result = await run({ quick: values.quick })
  process.stdout.write(`${JSON.stringify(result)}\n`)
  if (!values.quick) keep(result)
  for (const [figure, [least, most]] of Object.entries(GATES[name] ?? {})) {
    const value = result[figure]
    if (typeof value === 'number' && value >= least && value <= most) continue
    process.stderr.write(`error: ${name}: ${figure} is ${String(value)}, outside ${least} to ${most}\n`)
    failed += 1
  }
}
process.exitCode = failed > 0 ? 1 : 0

function keep(result: Result): void {
  const folder = join(import.meta.dirname, 'results')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${result.name}.json`), `${JSON.stringify(result, null, 2)}\n`)
}
