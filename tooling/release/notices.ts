import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Dependency } from './dependencies.ts'
import type { NativePart } from './native-parts.ts'

/** The notices that the licences of what is packed ask for; packages with the same text share it. */
export function notices(dependencies: readonly Dependency[], native: readonly NativePart[], toolchain: string): string {
  const byText = Map.groupBy(dependencies, ({ licenceText }) => licenceText)
  const bundled = [...byText].map(([text, packages]) =>
    section(packages.map(({ name, version, license }) => `${name} ${version} (${license})`).join('\n'), text),
  )
  const linked = native.map(({ name, version, license, note, texts }) =>
    section(
      `${name} ${version} (${license}), in the guest programs`,
      [note, ...texts.map((file) => readFileSync(join(toolchain, 'root', file), 'utf8').trim())].join('\n\n'),
    ),
  )
  return `Cove contains the following works of others, under the licences that stand below each.\n\n${[...bundled, ...linked].join('\n')}`
}

const RULE = '='.repeat(80)

const section = (title: string, text: string): string => `${RULE}\n${title}\n${RULE}\n\n${text}\n`
