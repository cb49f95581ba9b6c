import { spawn } from 'node:child_process'
import { CoveError } from '@cove/domain'

const MAX_ERROR_BYTES = 4096

export interface LauncherProgram {
  readonly binary: string
  readonly stateDir: string
  readonly installation: string
  /** Tells launchers of different binaries apart. */
  readonly instance: string
  readonly idleMs: number
}

/**
 * Starts the launcher, which goes on in the background: resolves when it listens, with false when another one of the
 * same name is there already or about to end.
 */
export async function spawnLauncher(program: LauncherProgram): Promise<boolean> {
  const args = ['launcher', '--state', program.stateDir, '--installation', program.installation]
  args.push('--instance', program.instance, '--idle-ms', String(program.idleMs))
  // Nothing of our environment may live on in it.
  const child = spawn(program.binary, args, { stdio: ['ignore', 'ignore', 'pipe'], env: {}, cwd: '/' })
  let said = ''
  child.stderr.setEncoding('utf8')
  child.stderr.on('data', (text: string) => {
    said = (said + text).slice(0, MAX_ERROR_BYTES)
  })
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => {
      reject(new CoveError('launcher-unavailable', `${program.binary} cannot be started`, {}, { cause }))
    })
    child.once('close', resolve)
  })
  if (status === BUSY) return false
  if (status === 0) return true
  throw new CoveError('launcher-unavailable', said.trim() || `the launcher ended with status ${status ?? 'unknown'}`)
}

const BUSY = 3
