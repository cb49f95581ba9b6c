import { bad } from '../../sandboxes/request.ts'

/** One part of a file: from an offset on, or the last bytes. */
export type Part = { readonly offset: number; readonly length?: number } | { readonly last: number }

/** One range is honoured; none, several, or another unit mean the whole file, as RFC 9110 allows. */
export function parseRange(header: string | undefined): Part | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '')
  if (match === null) return undefined
  const [, from = '', to = ''] = match
  if (from === '' && to === '') return undefined
  if (from === '') return { last: whole(to) }
  const offset = whole(from)
  if (to === '') return { offset }
  const end = whole(to)
  return end < offset ? undefined : { offset, length: end - offset + 1 }
}

function whole(digits: string): number {
  const value = Number(digits)
  if (!Number.isSafeInteger(value)) throw bad('Range', 'is too large')
  return value
}
