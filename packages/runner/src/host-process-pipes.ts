import { constants, open } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { promisify } from 'node:util'
import { CoveError } from '@cove/domain'

const openFile = promisify(open)

/** The other ends of a `piped` process's stdio. */
export interface HostProcessPipes {
  /** Present when stdin was asked for. Ending it is the end of the process's input. */
  readonly stdin?: Writable
  /** Ends when the last process that has it is gone. */
  readonly stdout: Readable
  readonly stderr: Readable
}

const STREAMS = { stdin: 0, stdout: 1, stderr: 2 } as const

/** Opens what the launcher keeps below its state folder for this process. Neither open waits: both ends are there. */
export async function openHostProcessPipes(stateDir: string, id: string, stdin: boolean): Promise<HostProcessPipes> {
  const opened: Socket[] = []
  const openEnd = async (stream: keyof typeof STREAMS): Promise<Socket> => {
    const write = stream === 'stdin'
    const mode = write ? constants.O_WRONLY : constants.O_RDONLY
    const path = join(stateDir, 'records', `${id}.pipe${STREAMS[stream]}`)
    const fd = await openFile(path, mode | constants.O_NONBLOCK | constants.O_NOFOLLOW)
    const socket = new Socket({ fd, readable: !write, writable: write })
    opened.push(socket)
    return socket
  }
  try {
    const [stdout, stderr] = [await openEnd('stdout'), await openEnd('stderr')]
    return { stdout, stderr, ...(stdin ? { stdin: await openEnd('stdin') } : {}) }
  } catch (cause) {
    for (const socket of opened) socket.destroy()
    throw new CoveError('io-error', `the pipes of ${id} cannot be opened`, { id }, { cause })
  }
}
