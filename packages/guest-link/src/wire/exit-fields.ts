import type { Exit } from '@cove/domain'
import { FrameError, type Fields, type FieldsWriter } from '@cove/frames'
import { EXIT_KIND } from './tags.ts'

/** Reads how a process ended; undefined while it runs. */
export function readExit(fields: Fields, kindTag: number, valueTag: number): Exit | undefined {
  const kind = fields.number(kindTag)
  switch (kind) {
    case undefined:
      return undefined
    case EXIT_KIND.exited:
      return { kind: 'exited', code: bounded(fields.needNumber(valueTag), 0, 255) }
    case EXIT_KIND.signaled:
      return { kind: 'signaled', signal: bounded(fields.needNumber(valueTag), 1, 64) }
    case EXIT_KIND.outOfMemory:
      return { kind: 'out-of-memory' }
    case EXIT_KIND.lost:
      return { kind: 'lost' }
    default:
      throw new FrameError('an exit of an unknown kind')
  }
}

export function writeExit(fields: FieldsWriter, exit: Exit, kindTag: number, valueTag: number): void {
  switch (exit.kind) {
    case 'exited':
      fields.number(kindTag, EXIT_KIND.exited).number(valueTag, exit.code)
      return
    case 'signaled':
      fields.number(kindTag, EXIT_KIND.signaled).number(valueTag, exit.signal)
      return
    case 'out-of-memory':
      fields.number(kindTag, EXIT_KIND.outOfMemory)
      return
    case 'lost':
      fields.number(kindTag, EXIT_KIND.lost)
  }
}

function bounded(value: number, from: number, to: number): number {
  if (value < from || value > to) throw new FrameError(`an exit value of ${value}`)
  return value
}
