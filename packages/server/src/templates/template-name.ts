import { parseSource, type ParsedSource, type SourceKind } from '@cove/domain'
import { bad } from '../sandboxes/request.ts'

export interface TemplateName {
  readonly name: string
  readonly tag: string
}

/** What a create or a build starts from, as it was asked for. */
export type TemplateRef =
  | { readonly kind: 'source'; readonly source: ParsedSource }
  | { readonly kind: 'template'; readonly name: TemplateName }

const DEFAULT_TAG = 'latest'
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const TAG = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/

const SOURCE_KINDS: Readonly<Record<SourceKind, true>> = {
  host: true,
  oci: true,
  'oci-layout': true,
  'oci-archive': true,
  'docker-archive': true,
  debian: true,
  dockerfile: true,
  directory: true,
  tar: true,
}

/** The name of a template of its own; `host` and what begins a source are taken. */
export function parseTemplateName(text: string, field: string): TemplateName {
  const colon = text.indexOf(':')
  const name = colon < 0 ? text : text.slice(0, colon)
  const tag = colon < 0 ? DEFAULT_TAG : text.slice(colon + 1)
  if (text === '') throw bad(field, 'is missing')
  if (!NAME.test(name)) {
    throw bad(field, 'must be 1 to 63 of a-z, 0-9 and dash, with a letter or digit at both ends, or that with `:tag`')
  }
  if (!TAG.test(tag)) {
    throw bad(
      field,
      'has a tag that is not 1 to 63 of a-z, 0-9, dot, dash and underscore, with a letter or digit at both ends',
    )
  }
  if (Object.hasOwn(SOURCE_KINDS, name)) throw bad(field, `is reserved: ${name} is where images come from`)
  return { name, tag }
}

/** A source as it stands, or the name of a template. */
export function parseTemplateRef(text: string, field: string): TemplateRef {
  const [kind = ''] = text.split(':', 1)
  if (text === 'host' || (text.includes(':') && Object.hasOwn(SOURCE_KINDS, kind))) {
    return { kind: 'source', source: parseSource(text) }
  }
  return { kind: 'template', name: parseTemplateName(text, field) }
}

/** Short where the tag is the usual one. */
export function formatTemplateName({ name, tag }: TemplateName): string {
  return tag === DEFAULT_TAG ? name : `${name}:${tag}`
}
