import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { CoveError } from '@cove/domain'
import { connectSocket } from '../host/connect-socket.ts'
import { isAlive, type LiveProcess } from '../host/live-process.ts'
import { SOCKET_FOLDER, SOCKET_NAME } from './runtime-spec.ts'

/** A handle on a name and not on what it opens (open(2)); Node has no constant for it. */
const O_PATH = 0o10000000

/**
 * A stream to the agent's socket inside the machine, seen through `/proc/<pid>/root`. Whoever is root in there can put
 * anything in the socket's place, and no link that is followed may lead to a socket of the host: each name is looked
 * up by itself, never through a link, and what is connected to is what was looked at.
 */
export async function connectInside(process: LiveProcess, signal: AbortSignal): Promise<Socket> {
  const folder = await handle(`/proc/${process.pid}/root${SOCKET_FOLDER}`, constants.O_DIRECTORY)
  try {
    // Only now is it certain whose folder that is.
    if (!(await isAlive(process))) throw unreachable('its process is gone')
    const socket = await handle(`/proc/self/fd/${folder.fd}/${SOCKET_NAME}`, 0)
    try {
      if (!(await socket.stat()).isSocket()) throw unreachable("there is no socket in the agent's place")
      return await connectSocket(`/proc/self/fd/${socket.fd}`, signal)
    } finally {
      await socket.close()
    }
  } finally {
    await folder.close()
  }
}

async function handle(path: string, flags: number) {
  try {
    return await open(path, O_PATH | constants.O_NOFOLLOW | flags)
  } catch (cause) {
    throw unreachable(
      `the agent's socket is not there: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    )
  }
}

function unreachable(message: string, cause?: unknown): CoveError {
  return new CoveError('guest-unreachable', message, {}, { cause })
}
