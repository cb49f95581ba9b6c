import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..')

/** Every page that belongs to the repository. */
const PAGES = execFileSync('git', ['ls-files', '-z', '*.md'], { cwd: ROOT, encoding: 'utf8' })
  .split('\0')
  .filter((path) => path !== '' && existsSync(join(ROOT, path)))

/** What stands in code is no link and no heading. */
function prose(text: string): string {
  return text.replace(/^(\s*)(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\s*\2\s*$/gm, '')
}

/** As the page's reader makes them: `https` and others lead away, and are not followed. */
function linksOf(path: string): readonly string[] {
  const text = prose(readFileSync(join(ROOT, path), 'utf8')).replaceAll(/`[^`\n]*`/g, '')
  const found = [...text.matchAll(/\]\(([^()\s]+(?:\([^()\s]*\))?)\)/g), ...text.matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)]
  return found.map(([, target = '']) => target).filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target))
}

const ANCHORS = new Map<string, ReadonlySet<string>>()

function anchorsOf(path: string): ReadonlySet<string> {
  const known = ANCHORS.get(path) ?? readAnchors(path)
  ANCHORS.set(path, known)
  return known
}

/** The anchors that headings get, numbered where one comes again. */
function readAnchors(path: string): ReadonlySet<string> {
  const text = prose(readFileSync(join(ROOT, path), 'utf8'))
  const anchors = new Set<string>()
  for (const [, heading = ''] of text.matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const slug = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-')
    let anchor = slug
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`
    anchors.add(anchor)
  }
  for (const [, name = ''] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(name)
  return anchors
}

function problem(page: string, link: string): string | undefined {
  const [file = '', anchor] = link.split('#')
  const path = file === '' ? join(ROOT, page) : join(ROOT, dirname(page), decodeURIComponent(file))
  if (relative(ROOT, path).startsWith('..')) return `${page}: ${link} leaves the repository`
  if (!existsSync(path)) return `${page}: ${link} leads nowhere`
  if (anchor === undefined || !path.endsWith('.md') || !statSync(path).isFile()) return undefined
  return anchorsOf(relative(ROOT, path)).has(anchor) ? undefined : `${page}: ${link} names no heading`
}

it('has pages whose links lead somewhere', () => {
  expect(PAGES).toContain('README.md')
  expect(PAGES.flatMap(linksOf).length).toBeGreaterThan(30)
  expect(
    PAGES.flatMap((page) =>
      linksOf(page)
        .map((link) => problem(page, link))
        .filter(Boolean),
    ),
  ).toEqual([])
})

it('names every guide in the README or in a page that it names', () => {
  const seen = new Set<string>()
  const next = ['README.md']
  for (let page = next.pop(); page !== undefined; page = next.pop()) {
    if (seen.has(page)) continue
    seen.add(page)
    for (const link of linksOf(page)) {
      const path = join(dirname(page), link.split('#')[0] ?? '')
      if (path.endsWith('.md') && existsSync(join(ROOT, path))) next.push(path)
    }
  }
  expect(PAGES.filter((page) => /^docs\/[^/]+\.md$/.test(page) && !seen.has(page))).toEqual([])
})
