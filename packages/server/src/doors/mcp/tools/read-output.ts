import { CoveError, type Exit, type Guest, type ProcessId } from '@cove/domain'
import { wholeCharacters } from '../text.ts'

interface ReadRequest {
  readonly offset: number
  /** Bytes of output at most. */
  readonly most: number
  /** How long to wait for something new when there is nothing. */
  readonly waitMs: number
}

export interface ReadResult {
  readonly output: string
  readonly nextOffset: number
  /** Bytes that were not kept until now. */
  readonly missed: number
  /** True when there is more already. */
  readonly more: boolean
  /** Undefined while it runs. */
  readonly exit: Exit | undefined
  readonly timedOut: boolean
}

/** What follows the first new output within this time is answered with it. */
const GATHER_MS = 50

/** Reads what there is from an offset on; attaches for this long only. */
export async function readOutput(
  guest: Guest,
  id: ProcessId,
  { offset, most, waitMs }: ReadRequest,
  signal: AbortSignal,
): Promise<ReadResult> {
  const enough = new AbortController()
  const { info, events } = await guest.attach(id, offset, AbortSignal.any([signal, enough.signal]))
  if (offset > info.outputTo) {
    enough.abort()
    const fix = 'Pass next_offset of the last answer, or 0 for what is kept from the beginning.'
    throw new CoveError(
      'invalid-argument',
      `offset is ${offset}, and there are ${info.outputTo} bytes of output`,
      {},
      { fix },
    )
  }
  let at = offset
  let missed = 0
  let kept = 0
  let exit = info.exit
  let { timedOut } = info
  let end = info.outputTo
  const chunks: Uint8Array[] = []
  const hasAll = (): boolean => at >= info.outputTo && info.exit === undefined
  let timer: NodeJS.Timeout | undefined
  const within = (ms: number): void => {
    clearTimeout(timer)
    timer = setTimeout(() => enough.abort(), ms)
  }
  try {
    const readsOn = !(hasAll() && waitMs === 0)
    if (readsOn && hasAll()) within(waitMs)
    if (readsOn) {
      for await (const event of events) {
        if (event.type === 'exit') {
          ;({ exit, timedOut } = event)
          break
        }
        if (event.type === 'gap') {
          missed += event.to - event.from
          at = event.to
        } else {
          const room = most - kept
          const piece = event.data.subarray(0, room)
          chunks.push(piece)
          kept += piece.length
          at = event.offset + piece.length
          end = Math.max(end, event.offset + event.data.length)
          if (kept >= most) break
        }
        if (!hasAll()) continue
        if (waitMs === 0) break
        within(GATHER_MS)
      }
    }
  } catch (error) {
    if (signal.aborted || !enough.signal.aborted) throw error
  } finally {
    clearTimeout(timer)
    enough.abort()
  }
  const all = Buffer.concat(chunks, kept)
  const isLast = exit !== undefined && at >= end
  const whole = isLast ? all : wholeCharacters(all)
  const nextOffset = at - (all.length - whole.length)
  const output = new TextDecoder().decode(whole)
  return { output, nextOffset, missed, more: nextOffset < end && whole.length > 0, exit, timedOut }
}
