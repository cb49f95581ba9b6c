import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { COMMANDS } from '../commands/registry.ts'
import { SETTING_NAMES, SETTINGS } from './settings.ts'

const page = readFileSync(join(import.meta.dirname, '../../../../docs/cli.md'), 'utf8')

it.each(SETTING_NAMES)('the page of the command line tells of %s and its default', (name) => {
  const row = page.split('\n').find((line) => line.startsWith('|') && line.includes(`\`${name}\``))
  const { fallback } = SETTINGS[name]
  expect(row).toContain(typeof fallback === 'string' && fallback !== '' ? `\`${fallback}\`` : `\`${name}\``)
})

it.each(COMMANDS.map(({ name }) => name))('the page of the command line tells of cove %s', (name) => {
  expect(page).toMatch(new RegExp(`^\\|.*\`${name}\``, 'm'))
})
