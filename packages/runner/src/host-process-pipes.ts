import { close, constants, open } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { promisify } from 'node:util'
import { CoveError } from '@cove/domain'
import { PipeEnd } from './pipe-end.ts'

const openFile = promisify(open)

/** The other ends of a `piped` process's stdio. Output that is not read is to be closed. */
export interface HostProcessPipes {
  /** Present when stdin was asked for. Ending it is the end of the process's input. */
  readonly stdin?: Writable
  /** Ends when the last process that has it is gone. */
  readonly stdout: PipeEnd
  readonly stderr: PipeEnd
}

const STREAMS = { stdin: 0, stdout: 1, stderr: 2 } as const

/** Opens what the launcher keeps below its state folder for this process. Neither open waits: both ends are there. */
export async function openHostProcessPipes(stateDir: string, id: string, stdin: boolean): Promise<HostProcessPipes> {
  const opened: number[] = []
  const openEnd = async (stream: keyof typeof STREAMS): Promise<number> => {
    const mode = stream === 'stdin' ? constants.O_WRONLY : constants.O_RDONLY
    const path = join(stateDir, 'records', `${id}.pipe${STREAMS[stream]}`)
    const fd = await openFile(path, mode | constants.O_NONBLOCK | constants.O_NOFOLLOW)
    opened.push(fd)
    return fd
  }
  try {
    const [stdout, stderr] = [new PipeEnd(await openEnd('stdout')), new PipeEnd(await openEnd('stderr'))]
    if (!stdin) return { stdout, stderr }
    return { stdout, stderr, stdin: new Socket({ fd: await openEnd('stdin'), readable: false, writable: true }) }
  } catch (cause) {
    for (const fd of opened) close(fd)
    throw new CoveError('io-error', `the pipes of ${id} cannot be opened`, { id }, { cause })
  }
}
