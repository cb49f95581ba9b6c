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
    const tail = readFileSync(dataDir.daemonLog)
      .subarray(from)
      .toString('utf8')
      .trimEnd()
      .split('\n')
      .slice(-LAST_LINES)
    throw new CoveError(
      'internal',
      `the daemon ended before it was ready:\n${tail.join('\n')}`,
      {},
      {
        fix: `See ${dataDir.daemonLog} for all of its log.`,
      },
    )
  }
  child.unref()
  io.stdout.write(ready)
  return 0
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
