import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Where the host gets the packages of Debian from. */
export interface AptSource {
  readonly uri: string
  readonly suite: string
  readonly components: readonly string[]
  readonly signedBy?: string
}

const DEFAULT_MIRROR = 'http://deb.debian.org/debian'
const DEFAULT_SECURITY = 'http://deb.debian.org/debian-security'
const MAX_FILES = 100

/** All of the host's sources of binary packages; none where it has none that can be read. */
export async function readAptSources(folder = '/etc/apt'): Promise<readonly AptSource[]> {
  const parts = join(folder, 'sources.list.d')
  const names = await readdir(parts).catch(() => [])
  const files = [join(folder, 'sources.list'), ...names.slice(0, MAX_FILES).map((name) => join(parts, name))]
  const sources = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(file, 'utf8').catch(() => '')
      return file.endsWith('.sources') ? parseDeb822(text) : file.endsWith('.list') ? parseOneLine(text) : []
    }),
  )
  return sources.flat()
}

/** What mmdebstrap is to use for a suite: the host's mirrors, or Debian's own. */
export function sourceLines(suite: string, host: readonly AptSource[]): readonly string[] {
  const isDebian = ({ uri }: AptSource) => /\/debian\/?$/.test(uri)
  const main = host.find((given) => isDebian(given) && given.suite === suite) ?? host.find(isDebian)
  const isRolling = suite === 'sid' || suite === 'unstable' || suite === 'experimental'
  const security = host.find(({ uri }) => /\/debian-security\/?$/.test(uri))
  const uri = main?.uri ?? DEFAULT_MIRROR
  const lines = [`deb ${uri} ${suite} main`]
  if (isRolling) return lines
  return [
    ...lines,
    `deb ${uri} ${suite}-updates main`,
    `deb ${security?.uri ?? DEFAULT_SECURITY} ${suite}-security main`,
  ]
}

/** The format of `sources.list`. */
export function parseOneLine(text: string): readonly AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[(?<options>[^\]]*)\]\s*)?(?<uri>\S+)\s+(?<suite>\S+)\s*(?<components>[^#]*)/.exec(
      line,
    )
    const { options = '', uri, suite, components = '' } = match?.groups ?? {}
    if (uri === undefined || suite === undefined) return []
    const signedBy = /(?:^|\s)signed-by=(\S+)/.exec(options)?.[1]
    return [source(uri, suite, components, signedBy)]
  })
}

/** The format of `*.sources`: stanzas of fields, as control files have them. */
export function parseDeb822(text: string): readonly AptSource[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const fields = fieldsOf(stanza)
    if (fields.get('enabled') === 'no' || !words(fields.get('types')).includes('deb')) return []
    const signedBy = words(fields.get('signed-by')).find((path) => path.startsWith('/'))
    return words(fields.get('uris')).flatMap((uri) =>
      words(fields.get('suites')).map((suite) => source(uri, suite, fields.get('components') ?? '', signedBy)),
    )
  })
}

function fieldsOf(stanza: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  let last = ''
  for (const line of stanza.split('\n')) {
    if (line.startsWith('#')) continue
    const match = /^(?<name>[A-Za-z0-9-]+):(?<value>.*)$/.exec(line)
    if (match?.groups !== undefined) last = (match.groups['name'] ?? '').toLowerCase()
    else if (!/^\s/.test(line)) continue
    const value = match?.groups?.['value'] ?? line
    fields.set(last, `${fields.get(last) ?? ''} ${value}`.trim())
  }
  return fields
}

const words = (text: string | undefined): string[] => (text ?? '').split(/\s+/).filter((word) => word !== '')

function source(uri: string, suite: string, components: string, signedBy: string | undefined): AptSource {
  return { uri, suite, components: words(components), ...(signedBy === undefined ? {} : { signedBy }) }
}
