import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'

const INDEX = join(import.meta.dirname, '../src/index.ts')

interface Exported {
  readonly name: string
  readonly file: string
}

/** What `index.ts` exports from files of its own room, by name. */
function exported(): Exported[] {
  const text = readFileSync(INDEX, 'utf8')
  return [...text.matchAll(/export (?:type )?\{([^}]*)\} from '(\.[^']+)'/g)].flatMap(([, names = '', path = '']) =>
    names
      .split(',')
      .map((name) => name.trim().replace(/^type /, ''))
      .filter((name) => name !== '')
      .map((name) => ({ name, file: join(dirname(INDEX), path) })),
  )
}

/** Lines of a file where this is declared, as [line, line before it]. */
function declaration(file: string, name: string): { readonly before: string; readonly body: readonly string[] } {
  const lines = readFileSync(file, 'utf8').split('\n')
  const at = lines.findIndex((line) =>
    new RegExp(`^export (async )?(abstract )?(class|interface|type|const|function) ${name}\\b`).test(line),
  )
  if (at < 0) throw new Error(`${name} is not declared in ${file}`)
  const end = lines.findIndex((line, index) => index > at && /^[})\]]/.test(line))
  return { before: lines[at - 1] ?? '', body: lines.slice(at, end < 0 ? at + 1 : end) }
}

describe('what the client exports', () => {
  it.each(exported().map(({ name, file }) => [name, file]))('%s says what it is', (name, file) => {
    expect(declaration(file, name).before.trim()).toMatch(/\*\/$/)
  })

  it.each(
    exported()
      .filter(({ name, file }) => declaration(file, name).body[0]?.includes('class') === true)
      .map(({ name, file }) => [name, file]),
  )('%s says of each method what it does', (name, file) => {
    const { body } = declaration(file, name)
    const silent = body.filter((line, index) => {
      const method = /^ {2}(?:async |get |\*)*([a-z]\w*)(?:<[^>]*>)?\(/.exec(line)?.[1]
      if (method === undefined || method === 'constructor') return false
      // Overloads share the words of the first one.
      const before = body[index - 1]?.trim() ?? ''
      return !before.endsWith('*/') && !before.startsWith(`${method}(`)
    })
    expect(silent).toEqual([])
  })
})
