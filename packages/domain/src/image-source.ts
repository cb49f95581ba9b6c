import { CoveError } from './errors/cove-error.ts'

/** Where an image comes from, read from a text such as `oci:alpine:3.20` or `debian:bookworm+python3`. */
export type ParsedSource =
  /** The host's own programs; no image at all. */
  | { readonly kind: 'host' }
  /** From a registry; the reference as it was written, not checked any further. */
  | { readonly kind: 'oci'; readonly reference: string }
  /** A folder of the node. */
  | { readonly kind: 'oci-layout'; readonly path: string; readonly name?: string }
  /** Files of the node; the name chooses one of several images in them. */
  | { readonly kind: 'oci-archive' | 'docker-archive'; readonly path: string; readonly name?: string }
  /** Packages of Debian, in alphabetical order. */
  | { readonly kind: 'debian'; readonly suite: string; readonly packages: readonly string[] }
  /** A Dockerfile of the node, or a folder with one in it. */
  | { readonly kind: 'dockerfile'; readonly path: string }
  /** A folder or a tar archive of the node that is a whole root. */
  | { readonly kind: 'directory' | 'tar'; readonly path: string }

export type SourceKind = ParsedSource['kind']

/** Kinds that read files of the node: for its operators only. */
const NODE_PATHS: ReadonlySet<SourceKind> = new Set([
  'oci-layout',
  'oci-archive',
  'docker-archive',
  'dockerfile',
  'directory',
  'tar',
])

const MAX_SOURCE = 4_200
const MAX_PACKAGES = 200
const SUITE = /^[a-z][a-z0-9.-]{0,63}$/
/** As Debian's policy has the names of packages. */
const PACKAGE = /^[a-z0-9][a-z0-9+.-]{1,127}$/
// oxlint-disable-next-line no-control-regex -- exactly these are refused
const CONTROL = /[\u0000-\u001f\u007f]/

/** True for sources that name a path of the node. */
export function readsNode(kind: SourceKind): boolean {
  return NODE_PATHS.has(kind)
}

/** `invalid-argument` says what is wrong. */
export function parseSource(text: string): ParsedSource {
  if (text.length > MAX_SOURCE) throw refused(text, `has more than ${MAX_SOURCE} characters`)
  if (CONTROL.test(text)) throw refused(text, 'has control characters')
  if (text === 'host') return { kind: 'host' }
  const colon = text.indexOf(':')
  const kind = colon < 0 ? '' : text.slice(0, colon)
  const rest = text.slice(colon + 1)
  switch (kind) {
    case 'oci':
      if (rest === '' || rest !== rest.trim()) throw refused(text, 'names no image')
      return { kind, reference: rest }
    case 'oci-layout':
    case 'oci-archive':
    case 'docker-archive':
      return { kind, ...pathAndName(text, rest) }
    case 'dockerfile':
    case 'directory':
    case 'tar':
      return { kind, path: absolute(text, rest) }
    case 'debian':
      return { kind, ...suiteAndPackages(text, rest) }
    default:
      throw refused(text, 'is none that Cove knows')
  }
}

/** `parseSource` reads it back as it was; two texts that mean the same give the same. */
export function formatSource(source: ParsedSource): string {
  switch (source.kind) {
    case 'host':
      return 'host'
    case 'oci':
      return `oci:${source.reference}`
    case 'oci-layout':
    case 'oci-archive':
    case 'docker-archive':
      return `${source.kind}:${source.path}${source.name === undefined ? '' : `:${source.name}`}`
    case 'debian':
      return `debian:${[source.suite, ...(source.packages.length > 0 ? [source.packages.join(',')] : [])].join('+')}`
    default:
      return `${source.kind}:${source.path}`
  }
}

/** The first colon begins the name: `/images/app.tar:app:1.2`. */
function pathAndName(text: string, rest: string): { readonly path: string; readonly name?: string } {
  const colon = rest.indexOf(':')
  if (colon < 0) return { path: absolute(text, rest) }
  const name = rest.slice(colon + 1)
  if (name === '' || name.length > 600 || /\s/.test(name)) throw refused(text, 'has an empty or unreadable name in it')
  return { path: absolute(text, rest.slice(0, colon)), name }
}

function suiteAndPackages(text: string, rest: string): { readonly suite: string; readonly packages: string[] } {
  const plus = rest.indexOf('+')
  const suite = plus < 0 ? rest : rest.slice(0, plus)
  if (!SUITE.test(suite)) throw refused(text, 'has a suite that is not of a-z 0-9 . -')
  if (plus < 0) return { suite, packages: [] }
  const packages = [...new Set(rest.slice(plus + 1).split(','))].toSorted()
  const wrong = packages.find((name) => !PACKAGE.test(name))
  if (wrong !== undefined) throw refused(text, `has a package ${JSON.stringify(wrong.slice(0, 40))} that cannot be one`)
  if (packages.length > MAX_PACKAGES) throw refused(text, `has more than ${MAX_PACKAGES} packages`)
  return { suite, packages }
}

/** The same path is always written the same. */
function absolute(text: string, path: string): string {
  if (!path.startsWith('/')) throw refused(text, 'has a path that is not absolute')
  if (path.split('/').includes('..')) throw refused(text, 'has a path with `..` in it')
  return path.replaceAll(/\/(?:\.?\/)+/g, '/').replace(/(?<=.)\/\.?$/, '')
}

function refused(text: string, problem: string): CoveError {
  return new CoveError(
    'invalid-argument',
    `the image source ${JSON.stringify(text.slice(0, 120))} ${problem}`,
    { field: 'source' },
    {
      fix: 'Use host, oci:<reference>, debian:<suite>[+package,…], or on the node itself oci-layout:, oci-archive:, docker-archive:, dockerfile:, directory: or tar: and an absolute path.',
    },
  )
}
