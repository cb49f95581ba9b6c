import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseChangeset, readChangesets, section, withSection } from './changelog.ts'

describe('the changelog', () => {
  it('reads a changeset, whose strongest bump counts', () => {
    const change = parseChangeset('---\n"@cove/cli": patch\n"@cove/sdk": minor\n---\n\nFaster starts.\n')
    expect(change).toEqual({ bump: 'minor', text: 'Faster starts.' })
  })

  it.each([
    'Faster starts.\n',
    '---\n"@cove/cli": tiny\n---\n\nFaster.\n',
    '---\n"@cove/cli": minor\n---\n\n',
    '---\n"left-pad": minor\n---\n\nFaster.\n',
  ])('refuses %j', (content) => {
    expect(() => parseChangeset(content)).toThrow('this is no changeset')
  })

  it('has what breaks first, and keeps the lines of an entry together', () => {
    const changes = [
      { bump: 'patch', text: 'Mended.' },
      { bump: 'minor', text: 'New:\n\nwith details.' },
      { bump: 'major', text: 'Gone.' },
    ] as const
    expect(section('1.0.0', '2027-01-02', changes)).toBe(
      '## 1.0.0 (2027-01-02)\n\n- **Breaking:** Gone.\n- New:\n\n  with details.\n- Mended.\n',
    )
  })

  it('has the newest version on top', () => {
    expect(withSection('# Changelog\n\nWords.\n\n## 0.1.0\n\n- One.\n', '## 0.2.0\n\n- Two.\n')).toBe(
      '# Changelog\n\nWords.\n\n## 0.2.0\n\n- Two.\n\n## 0.1.0\n\n- One.\n',
    )
    expect(withSection('# Changelog\n', '## 0.1.0\n\n- One.\n')).toBe('# Changelog\n\n## 0.1.0\n\n- One.\n')
  })

  it('can be made from the changesets that are here', () => {
    for (const { text } of readChangesets(join(import.meta.dirname, '../..'))) expect(text).toMatch(/[.!]$/)
  })
})
