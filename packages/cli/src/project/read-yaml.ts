import { CoveError } from '@cove/domain'
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node as YamlNode, type Pair } from 'yaml'
import { nearest } from '../nearest.ts'
import type { Field, GroupOf, MapOf, ValueOf } from './field.ts'

/** Reads a file of fields; everything that is wrong is told at once, each with its line. */
export function readYaml<Fields extends { readonly [Name in string]: Field }>(
  source: string,
  path: string,
  fields: Fields,
  fix: string,
): { readonly [Name in keyof Fields]?: ValueOf<Fields[Name]> } {
  const lines = new LineCounter()
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false })
  const problems: string[] = []
  const problem = (offset: number | undefined, message: string): void => {
    problems.push(`${path}:${lines.linePos(offset ?? 0).line}: ${message}`)
  }
  for (const { pos, message } of document.errors) problem(pos[0], message)
  const read = problems.length > 0 ? {} : readNode({ about: '', fields }, document.contents ?? undefined, '', problem)
  if (problems.length === 0) return read ?? {}
  const [first = '', ...more] = problems
  throw new CoveError('config-invalid', [first, ...more].join('\n'), { problems: problems.length }, { fix })
}

type Tell = (offset: number | undefined, message: string) => void

function readNode(field: Field, node: YamlNode | undefined, name: string, tell: Tell): unknown {
  if (node === undefined || (isScalar(node) && node.value === null)) return undefined
  const at = node.range?.[0]
  if ('item' in field) {
    if (!isSeq(node)) return tell(at, `${name} must be a list`)
    return node.items.map((item, index) => readNode(field.item, item as YamlNode, `${name}[${index}]`, tell))
  }
  if ('value' in field || 'fields' in field) {
    if (!isMap(node)) return tell(at, `${name || 'the file'} must hold names and values`)
    const entries = node.items.flatMap((pair) => readPair(field, pair as Pair<YamlNode, YamlNode>, name, tell))
    return Object.fromEntries(entries)
  }
  try {
    return field.read(node.toJSON())
  } catch (thrown) {
    tell(at, `${name} ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    return undefined
  }
}

function readPair(
  field: MapOf<unknown> | GroupOf<{ readonly [Name in string]: Field }>,
  { key, value }: Pair<YamlNode, YamlNode>,
  outer: string,
  tell: Tell,
): [string, unknown][] {
  const name = String(isScalar(key) ? key.value : key)
  const full = outer === '' ? name : `${outer}.${name}`
  const inner = 'value' in field ? field.value : Object.hasOwn(field.fields, name) ? field.fields[name] : undefined
  if (inner === undefined) {
    const known = 'fields' in field ? Object.keys(field.fields) : []
    tell(key.range?.[0], `${full} is no setting${nearest(name, known)}`)
    return []
  }
  const read = readNode(inner, value ?? undefined, full, tell)
  return read === undefined ? [] : [[name, read]]
}
