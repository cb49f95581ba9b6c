import type { KeptOutput } from '../../runtimes/runtimes.ts'

const decoder = new TextDecoder('utf-8')

/** Output for a model: text, with a line where bytes were left out. Bytes that are not UTF-8 become U+FFFD. */
export function outputText({ bytes, omitted }: KeptOutput, keptBytes: number): string {
  if (omitted === 0) return decoder.decode(bytes)
  const head = wholeCharacters(bytes.subarray(0, Math.ceil(keptBytes / 2)))
  const tail = bytes.subarray(Math.ceil(keptBytes / 2))
  return `${decoder.decode(head)}\n[... ${omitted} bytes left out ...]\n${decoder.decode(tail.subarray(startOfCharacter(tail)))}`
}

/** The text, or undefined when the bytes are not UTF-8. */
export function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** Without the first bytes of a character whose last ones have not come. */
export function wholeCharacters(bytes: Uint8Array): Uint8Array {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if ((byte & 0b1100_0000) === 0b1000_0000) continue
    return lengthOf(byte) > back ? bytes.subarray(0, bytes.length - back) : bytes
  }
  return bytes
}

function lengthOf(first: number): number {
  if (first >= 0b1111_0000) return 4
  if (first >= 0b1110_0000) return 3
  return first >= 0b1100_0000 ? 2 : 1
}

function startOfCharacter(bytes: Uint8Array): number {
  let at = 0
  while (at < 3 && at < bytes.length && ((bytes[at] ?? 0) & 0b1100_0000) === 0b1000_0000) at++
  return at
}
