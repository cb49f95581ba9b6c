import type { ValueOf } from './field.ts'
import { FIELDS } from './fields.ts'
import { readYaml } from './read-yaml.ts'

/** What a `cove.yaml` says. */
export type Project = { readonly [Name in keyof typeof FIELDS]?: ValueOf<(typeof FIELDS)[Name]> }

/** Reads a `cove.yaml`; everything that is wrong is told at once, each with its line. */
export function readProject(source: string, path: string): Project {
  return readYaml(source, path, FIELDS, 'Correct the file, or ignore it with --no-project-file.')
}
