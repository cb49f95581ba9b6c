import { CoveError } from '@cove/domain'
import type { ImageSource } from '../registry/image-source.ts'
import { isObject, parseJson } from '../registry/json.ts'

/** As many as other engines take; the launcher lays these over each other, and what a machine adds. */
export const MAX_LAYERS = 127
const MAX_VARIABLES = 2_000
const MAX_VARIABLE_BYTES = 256 * 1024
const MAX_ARGUMENTS = 2_000
const MAX_LABELS = 5_000
const MAX_HISTORY = 5_000

/** Refuses images whose configuration is larger than anything that is meant. */
export function checkConfig({ config, parsed, layers }: ImageSource): void {
  const { env, command } = parsed.defaults
  const variables = Object.entries(env)
  const bytes = variables.reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  atMost(layers.length, MAX_LAYERS, 'layers')
  atMost(variables.length, MAX_VARIABLES, 'environment variables')
  atMost(bytes, MAX_VARIABLE_BYTES, 'characters of environment variables')
  atMost(command.length, MAX_ARGUMENTS, 'arguments')
  const { config: section, history } = parseJson(config, 'the configuration of the image')
  const labels = isObject(section) && isObject(section['Labels']) ? Object.keys(section['Labels']) : []
  atMost(labels.length, MAX_LABELS, 'labels')
  atMost(Array.isArray(history) ? history.length : 0, MAX_HISTORY, 'entries of history')
}

function atMost(count: number, most: number, what: string): void {
  if (count <= most) return
  throw new CoveError('image-invalid', `the image has ${count} ${what}; at most ${most} are taken`)
}
