import type { Readable } from 'node:stream'

/** Tells every line of what a program writes, of each at most `most` characters; the rest of a longer one is dropped. */
export function hearLines(output: Readable, most: number, hear: (line: string) => void): void {
  let line = ''
  output.setEncoding('utf8')
  output.on('data', (text: string) => {
    const [first = '', ...others] = text.split(/\r?\n/)
    line = (line + first.slice(0, most)).slice(0, most)
    for (const next of others) {
      hear(line)
      line = next.slice(0, most)
    }
  })
  output.on('end', () => {
    if (line !== '') hear(line)
  })
}
