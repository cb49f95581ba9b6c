import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const BUMPS = ['major', 'minor', 'patch'] as const
type Bump = (typeof BUMPS)[number]

export interface Change {
  readonly bump: Bump
  readonly text: string
}

/** One changeset: packages and their bumps between lines of dashes, then what changed, in words for users. */
export function parseChangeset(content: string): Change {
  const match = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(content)
  const bumps = [...(match?.[1] ?? '').matchAll(/^(["'])@cove\/[\w-]+\1: (major|minor|patch)$/gm)].map(
    ([, , bump]) => bump,
  )
  const bump = BUMPS.find((known) => bumps.includes(known))
  const text = match?.[2]?.trim() ?? ''
  if (bump === undefined || text === '') throw new Error(`this is no changeset: ${content.slice(0, 80)}`)
  return { bump, text }
}

/** The section of a version: what breaks first, then what is new, then what was mended; each sorted as it was given. */
export function section(version: string, date: string, changes: readonly Change[]): string {
  const sorted = changes.toSorted((a, b) => BUMPS.indexOf(a.bump) - BUMPS.indexOf(b.bump))
  const lines = sorted.map(({ bump, text }) => {
    const [first = '', ...rest] = text.split('\n')
    return [
      `- ${bump === 'major' ? '**Breaking:** ' : ''}${first}`,
      ...rest.map((line) => (line === '' ? '' : `  ${line}`)),
    ].join('\n')
  })
  return `## ${version} (${date})\n\n${lines.join('\n')}\n`
}

/** Puts a section above the newest one. */
export function withSection(changelog: string, added: string): string {
  const at = changelog.search(/^## /m)
  return at === -1 ? `${changelog.trimEnd()}\n\n${added}` : `${changelog.slice(0, at)}${added}\n${changelog.slice(at)}`
}

/** Reads every changeset of the checkout, in the order of their names. */
export function readChangesets(root: string): readonly Change[] {
  const folder = join(root, '.changeset')
  return readdirSync(folder)
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .toSorted()
    .map((name) => parseChangeset(readFileSync(join(folder, name), 'utf8')))
}

if (import.meta.main) {
  const [root = '', version = '', date = '', changesets = ''] = process.argv.slice(2)
  const file = join(root, 'CHANGELOG.md')
  const changes = JSON.parse(readFileSync(changesets, 'utf8')) as readonly Change[]
  writeFileSync(file, withSection(readFileSync(file, 'utf8'), section(version, date, changes)))
}
