import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import type { Io } from '../io.ts'
import { IN_CHECKOUT, PACKAGE_ROOT } from '../package-root.ts'
import { installDistributionPackage } from './distribution-package.ts'
import { findProgram } from './find-program.ts'
import type { InstallPolicy } from './install-policy.ts'
import { prebuiltGuest } from './prebuilt-guest.ts'
import { runTool } from './run-tool.ts'

const ROOT = join(PACKAGE_ROOT, '../..')

/** Our own programs and their sources in a checkout. */
const SOURCES: ReadonlyMap<string, string> = new Map([
  ['build/cove-guest', 'guest/src'],
  ['build/cove-layers', 'layers/src'],
  ['build/cove-boot', 'boot/src'],
])

/**
 * Path of the guest program, with those for layers and for the start of VMs beside it: what a released package brings; in a checkout, built
 * first when a source is newer.
 */
export async function ensureGuestProgram(policy: InstallPolicy, io: Io): Promise<string> {
  if (!IN_CHECKOUT) return prebuiltGuest(join(PACKAGE_ROOT, 'guest'), `${process.platform}-${process.arch}`)
  const program = join(ROOT, 'build/cove-guest')
  const script = join(ROOT, 'tooling/build-guest.sh')
  const current = await Promise.all([...SOURCES].map(async ([built, sources]) => await isCurrent(built, sources)))
  if (current.every(Boolean)) return program
  const env: NodeJS.ProcessEnv = { ...process.env, ...io.env }
  if ((await findProgram('rustc', env['PATH'])) === undefined) {
    await installDistributionPackage(['rustc', 'gcc', 'libc6-dev'], policy, io)
  }
  io.stderr.write('cove: building the programs for guests, layers and VMs (about 40 s) ...\n')
  const result = await runTool(script, [], { cwd: ROOT, env })
  if (result.status !== 0 || ![...SOURCES.keys()].every((built) => existsSync(join(ROOT, built)))) {
    throw new CoveError(
      'io-error',
      `Cove's own programs could not be built:\n${errorsOf(result.output)}`,
      {},
      {
        fix: /Permission denied/.test(result.output)
          ? `Run \`${join(ROOT, 'cove')} setup\` as the user who owns the checkout.`
          : 'Install rustc 1.63 or later and a C linker (Debian: apt-get install rustc gcc libc6-dev).',
      },
    )
  }
  return program
}

/** The compiler's first error and what follows, without the warnings before it. */
function errorsOf(output: string): string {
  const first = output.search(/^error/m)
  return (first === -1 ? output : output.slice(first)).trim()
}

/** Compares times in this process: starting a shell for it would cost a tenth of a later start. */
async function isCurrent(program: string, folder: string): Promise<boolean> {
  const { readdir, stat } = await import('node:fs/promises')
  let built: number
  try {
    built = (await stat(join(ROOT, program))).mtimeMs
  } catch {
    return false
  }
  const sources = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })
  const times = await Promise.all(
    sources
      .filter((entry) => entry.isFile())
      .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).mtimeMs),
  )
  return times.every((time) => time <= built)
}
