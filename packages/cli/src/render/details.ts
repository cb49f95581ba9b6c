import { oneLine } from './text.ts'

const TITLE_WIDTH = 15

/** Everything about one thing, a line each; what is undefined is left out. */
export function detailsText(lines: readonly (readonly [title: string, value: string | undefined])[]): string {
  const width = Math.max(TITLE_WIDTH, ...lines.map(([title]) => title.length + 2))
  return lines
    .map(([title, value]) => (value === undefined ? '' : `${`${title}:`.padEnd(width)}${oneLine(value)}\n`))
    .join('')
}
