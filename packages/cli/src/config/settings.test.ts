import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { COMMANDS } from '../commands/registry.ts'
import { SETTING_NAMES, SETTINGS } from './settings.ts'

const read = (page: string): string => readFileSync(join(import.meta.dirname, '../../../../docs', page), 'utf8')
const reference = read('reference/cli.md')
const guide = read('cli.md')
const shown = COMMANDS.filter(({ hidden }) => hidden !== true).map(({ name }) => name)

it.each(SETTING_NAMES)('the reference of the command line tells of %s and its default', (name) => {
  const row = reference.split('\n').find((line) => line.startsWith(`| \`${name}\``))
  const { fallback, about } = SETTINGS[name]
  expect(row).toContain(typeof fallback === 'string' && fallback !== '' ? `\`${fallback}\`` : `\`${name}\``)
  expect(row).toContain(about)
})

it.each(shown)('the guide and the reference tell of cove %s', (name) => {
  expect(guide).toMatch(new RegExp(`^\\|.*\`${name}\``, 'm'))
  expect(reference).toContain(`\n## cove ${name}\n`)
})
