import { spawn } from 'node:child_process'
import { pipeline } from 'node:stream/promises'
import { CoveError } from '@cove/domain'

/** What a file is besides its bytes: numbers of owners, modes, extended attributes, holes. */
const WHOLE = ['--xattrs', '--xattrs-include=*', '--acls', '--numeric-owner', '--same-permissions']
/** Bytes of what a tool says that are told. */
const SAID = 300
/** What `tar` ends with when a file has changed while it was read. */
const CHANGED = 1

/**
 * Copies what is in one folder into another. The first may be in use by somebody who wants to read what is outside of it:
 * `tar` goes from each folder to what is in it by their descriptors and follows no link, also one that takes a folder's
 * place in the middle, which `cp` would.
 */
export async function copyTree(tar: string, from: string, to: string, signal: AbortSignal): Promise<void> {
  const env = { PATH: '/usr/bin:/bin' }
  const pack = spawn(tar, ['-C', from, ...WHOLE, '--sparse', '-cf', '-', '.'], {
    env,
    signal,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const unpack = spawn(tar, ['-C', to, ...WHOLE, '-xf', '-'], { env, signal, stdio: ['pipe', 'ignore', 'pipe'] })
  const packed = ended(pack)
  const unpacked = ended(unpack)
  // How the two end says more than how the pipe between them broke.
  const [, read, written] = await Promise.all([
    pipeline(pack.stdout, unpack.stdin).catch(() => undefined),
    packed,
    unpacked,
  ])
  if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
  const whole = read.code === 0 || read.code === CHANGED
  if (whole && written.code === 0) return
  // Who reads to nobody any more is not the one who has failed.
  const first = whole || read.code === undefined || /broken pipe/i.test(read.said) ? written : read
  throw failed(first.said)
}

interface Ended {
  readonly code: number | undefined
  readonly said: string
}

function ended(child: ReturnType<typeof spawn>): Promise<Ended> {
  return new Promise((resolve) => {
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-SAID)
    })
    child.on('error', (error) => {
      if (child.pid === undefined) resolve({ code: undefined, said: error.message })
    })
    child.on('close', (code) => resolve({ code: code ?? undefined, said: said.trim() }))
  })
}

function failed(said: string): CoveError {
  // Of a write that had room for a part only, tar tells how much that was and not why.
  const full = /no space left|wrote only/i.test(said)
  return new CoveError(full ? 'no-space' : 'driver-failed', `the volume was not copied: ${said}`)
}
