/** One way that a server offers to prove who one is. */
export interface Challenge {
  /** Lower case. */
  readonly scheme: string
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>
}

const MAX_HEADER = 16 * 1024
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const QUOTED = /"((?:[^"\\]|\\.)*)"/y
const BLANK = /[ \t]*/y
const SEPARATOR = /[ \t]*,[ \t,]*/y

/** Reads `WWW-Authenticate` (RFC 9110, section 11.6.1); what cannot be read ends the list. */
export function parseChallenges(header: string): readonly Challenge[] {
  const text = header.slice(0, MAX_HEADER)
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found !== null) at += found[0].length
    return found
  }
  const found: { scheme: string; parameters: Record<string, string> }[] = []
  take(SEPARATOR)
  for (let word = take(TOKEN); word !== null; take(SEPARATOR), word = take(TOKEN)) {
    take(BLANK)
    const last = found.at(-1)
    if (text[at] !== '=' || last === undefined) {
      found.push({ scheme: word[0].toLowerCase(), parameters: {} })
      // The first parameter stands behind the scheme without a comma; a token68 is none of ours.
      const start = at
      const name = take(TOKEN)
      take(BLANK)
      at = start
      if (name === null) continue
      const first = take(TOKEN)
      take(BLANK)
      if (first === null || text[at] !== '=') {
        at = start
        continue
      }
      if (!readValue(found.at(-1)?.parameters ?? {}, first[0])) break
      continue
    }
    if (!readValue(last.parameters, word[0])) break
  }
  return found

  function readValue(parameters: Record<string, string>, name: string): boolean {
    at++
    take(BLANK)
    const quoted = take(QUOTED)
    const value = quoted?.[1]?.replace(/\\(.)/g, '$1') ?? take(TOKEN)?.[0]
    if (value === undefined) return false
    const key = name.toLowerCase()
    if (key !== '__proto__') parameters[key] ??= value
    return true
  }
}
