/** What of a build context is left out: lines as in `.coveignore`. */
export interface Ignore {
  /** Of a path below the context, with `/` between its parts. */
  ignores(path: string, directory: boolean): boolean
  /** True when something below an ignored directory may be wanted all the same. */
  readonly hasExceptions: boolean
}

interface Rule {
  readonly pattern: RegExp
  readonly wanted: boolean
  readonly directoriesOnly: boolean
}

/**
 * One pattern a line: `*` and `?` stay within a name, `**` crosses directories, `[abc]` is one of these; a pattern with
 * a slash in front or in the middle begins at the top of the context, any other holds at every depth; `!` wants again
 * what an earlier line has left out; `#` begins a comment. The last line that fits decides.
 */
export function parseIgnore(lines: readonly string[]): Ignore {
  const rules = lines.flatMap((line): Rule[] => {
    let glob = line.replace(/\r$/, '').trim()
    if (glob === '' || glob.startsWith('#')) return []
    const wanted = glob.startsWith('!')
    if (wanted) glob = glob.slice(1)
    const directoriesOnly = glob.endsWith('/')
    glob = glob.replace(/\/+$/, '')
    if (glob === '') return []
    const anchored = glob.includes('/')
    const body = translate(glob.replace(/^\/+/, ''))
    return [{ pattern: new RegExp(`^${anchored ? '' : '(?:.*/)?'}${body}$`, 'su'), wanted, directoriesOnly }]
  })
  const fits = (path: string, directory: boolean): Rule | undefined =>
    rules.findLast(({ pattern, directoriesOnly }) => (directory || !directoriesOnly) && pattern.test(path))
  return {
    hasExceptions: rules.some(({ wanted }) => wanted),
    ignores(path, directory) {
      const parts = path.split('/')
      // What is below an ignored directory is ignored with it, unless a line wants it again.
      for (let length = parts.length; length > 0; length--) {
        const rule = fits(parts.slice(0, length).join('/'), length < parts.length || directory)
        if (rule !== undefined) return !rule.wanted
      }
      return false
    },
  }
}

function translate(glob: string): string {
  let pattern = ''
  for (let at = 0; at < glob.length; at++) {
    const character = glob[at] ?? ''
    if (glob.startsWith('**/', at)) {
      pattern += '(?:.*/)?'
      at += 2
    } else if (glob.startsWith('**', at)) {
      pattern += '.*'
      at += 1
    } else if (character === '*') pattern += '[^/]*'
    else if (character === '?') pattern += '[^/]'
    else if (character === '[' && glob.includes(']', at + 2)) {
      const end = glob.indexOf(']', at + 2)
      const inner = glob
        .slice(at + 1, end)
        .replace(/^!/, '^')
        .replaceAll(/[\\[\]]/g, String.raw`\$&`)
      pattern += `[${inner}]`
      at = end
    } else if (character === '\\' && at + 1 < glob.length) {
      pattern += literal(glob[at + 1] ?? '')
      at += 1
    } else pattern += literal(character)
  }
  return pattern
}

const literal = (character: string): string => character.replaceAll(/[$()*+.?[\\\]^{|}/]/g, String.raw`\$&`)
