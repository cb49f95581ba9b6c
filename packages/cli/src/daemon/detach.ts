import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { CoveError } from '@cove/domain'
import type { Io } from '../io.ts'
import type { DataDir } from './data-dir.ts'

const LAST_LINES = 12

/** Starts this same command again without `--detach`, waits until it is ready, and leaves it running. */
export async function detach(dataDir: DataDir, io: Io): Promise<number> {
  const descriptor = openSync(dataDir.daemonLog, 'a', 0o600)
  const from = readFileSync(dataDir.daemonLog).length
  let child: ChildProcess
  try {
    const args = process.argv.slice(1).filter((argument) => argument !== '--detach' && argument !== '-d')
    child = spawn(process.execPath, [...process.execArgv, ...args], {
      detached: true,
      // Set-up has been done in the foreground, where the user sees it.
      env: { ...io.env },
      stdio: ['ignore', descriptor, descriptor, 'ipc'],
    })
  } finally {
    closeSync(descriptor)
  }
  const ready = await waitUntilReady(child)
  if (ready === undefined) {
    throw whyItEnded(readFileSync(dataDir.daemonLog).subarray(from).toString('utf8'), dataDir.daemonLog)
  }
  child.unref()
  io.stdout.write(ready)
  return 0
}

/** Its own error where it has told one, as it would stand here without `--detach`; else its last lines. */
export function whyItEnded(output: string, log: string): CoveError {
  const lines = output.trimEnd().split('\n')
  const at = lines.findLastIndex((line) => line.startsWith('error: '))
  const remedy = lines.findIndex((line, index) => index > at && line.startsWith('fix: '))
  if (at >= 0 && remedy > at) {
    const message = lines.slice(at, remedy).join('\n').slice('error: '.length)
    return new CoveError('daemon-not-running', message, {}, { fix: (lines[remedy] ?? '').slice('fix: '.length) })
  }
  const message = `the daemon ended before it was ready:\n${lines.slice(-LAST_LINES).join('\n')}`
  return new CoveError('internal', message, {}, { fix: `See ${log} for all of its log.` })
}

/** The text to print, or undefined when the child ended first. */
async function waitUntilReady(child: ChildProcess): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', () => resolve(undefined))
    child.on('message', (message) => {
      if (typeof message === 'object' && message !== null && 'ready' in message && typeof message.ready === 'string') {
        resolve(message.ready)
      }
    })
  })
}
