/** One command of a page, and what the page says that it prints. */
export interface Told {
  readonly command: string
  readonly output: string
}

/** Reads the `console` blocks of a page: lines with `$ ` are commands, those below are what they print. */
export function readTranscript(page: string): Told[] {
  const blocks = [...page.matchAll(/^```console\n([\s\S]*?)^```$/gm)].map(([, text]) => text ?? '')
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const end = part.indexOf('\n')
        return { command: part.slice(0, end), output: part.slice(end + 1) }
      }),
  )
}

/** What is another one each time: ids, keys, times, ages, addresses, versions. */
const CHANGING: readonly (readonly [RegExp, string])[] = [
  [/^ {2}Agents .*$/gm, '  Agents    {…}'],
  [/^ {2}Drivers .*$/gm, '  Drivers   …'],
  [/^ {2}API key .*$/gm, '  API key   …'],
  [/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT'],
  [/\.localhost:\d+/g, '.localhost:PORT'],
  [/ready in \S+\./g, 'ready in TIME.'],
  [/Cove \d+\.\d+\.\d+/g, 'Cove VERSION'],
  [/cove_[0-9a-f]{40}/g, 'KEY'],
  [/\boperator-[0-9a-f]{12}\b/g, 'operator-HASH'],
  [/\b[a-z2-7]{16}\b/g, 'ID'],
  [/\d{4}-\d{2}-\d{2}T[\d:.]+Z/g, 'DATE'],
  [/(?<= )\d+[smh]\b/g, 'AGE'],
  [/\/\S*\/shop\/cove\.yaml/g, 'FOLDER/shop/cove.yaml'],
  [/\.\/cove\b/g, 'cove'],
  // Tables are as wide as what they hold.
  [/ {2,}/g, '  '],
  [/ +$/gm, ''],
  [/^ID {2}\d+ {2}user/gm, 'ID  PID  user'],
]

export function steady(text: string): string {
  return CHANGING.reduce((changed, [pattern, name]) => changed.replace(pattern, name), text).trim()
}
