import { CoveError } from '@cove/domain'
import type { Io } from '../io.ts'
import { findProgram } from './find-program.ts'
import { mayInstall, type InstallPolicy } from './install-policy.ts'
import { runTool } from './run-tool.ts'

interface Manager {
  readonly program: string
  readonly refresh?: readonly string[]
  readonly install: readonly string[]
}

const MANAGERS: readonly Manager[] = [
  { program: 'apt-get', refresh: ['update', '-qq'], install: ['install', '-y', '-qq', '--no-install-recommends'] },
  { program: 'dnf', install: ['install', '-y', '-q'] },
  { program: 'pacman', install: ['-S', '--noconfirm', '--needed'] },
  { program: 'zypper', install: ['-n', 'install'] },
  { program: 'apk', install: ['add', '--no-cache'] },
]

/** Installs packages of the distribution, as root or by a sudo that asks for nothing. Throws with the command to run by hand. */
export async function installDistributionPackage(
  packages: readonly string[],
  policy: InstallPolicy,
  io: Io,
): Promise<void> {
  const manager = await findManager(io)
  const names = packages.join(' ')
  if (manager === undefined) {
    throw new CoveError(
      'unsupported',
      `${names} is missing, and no package manager known to Cove is here`,
      {},
      {
        fix: `Install ${names} by hand.`,
      },
    )
  }
  const byHand = `${manager.program} ${manager.install.join(' ')} ${names}`
  const fix = `Run as root: ${byHand}`
  if (!(await mayInstall(`${names} (by ${manager.program})`, policy, io))) {
    throw new CoveError('unsupported', `${names} is missing and was not installed`, {}, { fix })
  }
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const run = async (args: readonly string[]) => {
    const [program = manager.program, ...rest] = [...asRoot, manager.program, ...args]
    return runTool(program, rest, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  }
  try {
    let result = await run([...manager.install, ...packages])
    if (result.status !== 0 && manager.refresh !== undefined) {
      // A fresh machine has no package lists yet.
      await run(manager.refresh)
      result = await run([...manager.install, ...packages])
    }
    if (result.status !== 0) throw new Error(result.output.trim().split('\n').slice(-3).join(' | '))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CoveError('io-error', `${names} could not be installed: ${reason}`, {}, { fix, cause })
  }
}

async function findManager(io: Io): Promise<Manager | undefined> {
  for (const manager of MANAGERS) {
    if ((await findProgram(manager.program, io.env['PATH'])) !== undefined) return manager
  }
  return undefined
}
