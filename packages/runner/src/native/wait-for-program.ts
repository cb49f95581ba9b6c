import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { RECORD_VARIABLE } from './record-variable.ts'

/** What is launched may still be on its way to its program when the one that launches it has ended. */
const APPEARS_WITHIN_MS = 2000
const LOOK_AGAIN_MS = 25

/** Until no process of this record runs the program any more. The one that launched it has ended already. */
export async function waitForProgram(
  program: string,
  record: string,
  living: () => Promise<number>,
  signal: AbortSignal,
): Promise<void> {
  const until = performance.now() + APPEARS_WITHIN_MS
  let seen = false
  try {
    while (!signal.aborted && (await living()) > 0) {
      const runs = await isRun(program, record)
      seen ||= runs
      if (!runs && (seen || performance.now() > until)) return
      await delay(LOOK_AGAIN_MS, undefined, { signal })
    }
  } catch (error) {
    // It was ended in the meantime.
    if (!signal.aborted) throw error
  }
}

async function isRun(program: string, record: string): Promise<boolean> {
  const mark = `\0${RECORD_VARIABLE}=${record}\0`
  for (const pid of await readdir('/proc')) {
    if (/^\d+$/.test(pid) && (await nameOf(pid)) === program && (await environmentOf(pid)).includes(mark)) return true
  }
  return false
}

/** Of its file, or for a script the name that it was started by. */
async function nameOf(pid: string): Promise<string | undefined> {
  try {
    const file = basename(await readlink(`/proc/${pid}/exe`))
    const [first = '', second = ''] = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
    const script = basename(second)
    const interpreted = basename(first) === file || first === ''
    return interpreted && script !== '' && (await commandOf(pid)) === script.slice(0, 15) ? script : file
  } catch {
    return undefined
  }
}

async function commandOf(pid: string): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8')).trimEnd()
}

async function environmentOf(pid: string): Promise<string> {
  try {
    return `\0${await readFile(`/proc/${pid}/environ`, 'latin1')}`
  } catch {
    return ''
  }
}
