import { TEMPLATE_FIELDS } from '../template/template-fields.ts'
import type { Field } from './field.ts'
import { FIELDS } from './fields.ts'

/** For editors, from the same definitions that read the file. */
export function projectSchema(): unknown {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'cove.yaml',
    description: 'What a project wants of its sandboxes; `cove init` writes one.',
    ...schemaOf({ about: '', fields: FIELDS }),
  }
}

export function templateSchema(): unknown {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'cove.template.yaml',
    description: 'What a template is made of; `cove template build` reads it.',
    ...schemaOf({ about: '', fields: TEMPLATE_FIELDS }),
    required: ['source'],
  }
}

function schemaOf(node: Field): Record<string, unknown> {
  const description = node.about === '' ? {} : { description: node.about }
  if ('item' in node) return { ...description, type: 'array', items: schemaOf(node.item) }
  if ('value' in node) return { ...description, type: 'object', additionalProperties: schemaOf(node.value) }
  if ('fields' in node) {
    const properties = Object.fromEntries(Object.entries(node.fields).map(([name, field]) => [name, schemaOf(field)]))
    return { ...description, type: 'object', additionalProperties: false, properties }
  }
  return { ...description, ...node.schema }
}
