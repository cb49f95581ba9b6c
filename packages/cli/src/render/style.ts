import type { Io } from '../io.ts'

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const
export type Style = keyof typeof CODES

/** Colours only where a person looks and has not asked for none (https://no-color.org). */
export function styler(stream: { readonly isTTY?: boolean }, env: Io['env']) {
  const plain = stream.isTTY !== true || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb'
  return (style: Style, text: string): string => (plain ? text : `\u001B[${CODES[style]}m${text}\u001B[0m`)
}
