import { existsSync, realpathSync } from 'node:fs'
import { join, resolve, sep } from 'node:path'
import { CoveError, parseSource, readsNode, type SourceKind } from '@cove/domain'

/** A source that names files, and where they are. */
const FILES = /^(?<kind>[a-z-]+):(?<path>[^:]+)(?<name>:.*)?$/s

/** The kind of a source that reads files of the node; undefined for every other and for names of templates. */
export function nodeFiles(source: string): { readonly kind: SourceKind; readonly path: string } | undefined {
  const { kind = '', path = '' } = FILES.exec(source)?.groups ?? {}
  return readsNode(kind as SourceKind) ? { kind: kind as SourceKind, path } : undefined
}

/**
 * What comes with a repository must not decide that files of this machine go into a template, where its commands can
 * send them away: only what lies below the definition is taken, and paths that begin with `./` are meant from there.
 */
export function definitionSource(source: string, directory: string, path: string): string {
  const files = nodeFiles(source)
  if (files === undefined) return source
  const given = files.path.startsWith('./') ? join(directory, files.path) : files.path
  const rest = source.slice(files.kind.length + 1 + files.path.length)
  const whole = `${files.kind}:${resolve(given)}${rest}`
  const inside = resolve(given) === resolve(directory) || resolve(given).startsWith(`${resolve(directory)}${sep}`)
  if (inside && !existsSync(given)) {
    throw new CoveError(
      'config-invalid',
      `${path} takes its source from ${JSON.stringify(files.path.slice(0, 200))}, which is not there`,
      { path },
      { fix: 'Correct the path; one that begins with ./ is meant from the directory of the definition.' },
    )
  }
  if (!isBelow(resolve(given), directory)) {
    throw new CoveError(
      'config-invalid',
      `${path} takes its source from ${JSON.stringify(files.path.slice(0, 200))}, which is not below its own directory`,
      { path },
      { fix: `Say so yourself with --source ${source.slice(0, 200)} where you trust all of it.` },
    )
  }
  parseSource(whole)
  return whole
}

function isBelow(path: string, directory: string): boolean {
  try {
    const top = realpathSync(directory)
    return realpathSync(path).startsWith(top.endsWith(sep) ? top : top + sep)
  } catch {
    return false
  }
}
