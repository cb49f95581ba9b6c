/**
 * Text of others, safe to show: control characters would let a name in a sandbox rewrite the terminal of its reader.
 * Line breaks stay.
 */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- these characters are the point
  return text.replace(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}

/** On one line too: for cells of a table. */
export function oneLine(text: string): string {
  return printable(text.replaceAll('\n', ' '))
}

/** A command as one could type it. */
export function commandText(argv: readonly string[]): string {
  return argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ')
}

/** `12s`, `5m`, `3h`, `2d`: the largest unit only. */
export function ageText(since: Date, now: number): string {
  const seconds = Math.max(0, Math.floor((now - since.getTime()) / 1000))
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}
