import { CoveError } from '@cove/domain'
import { bad } from '../../sandboxes/request.ts'

/** The parameters behind the question mark. Bytes that are not UTF-8 are refused instead of guessed at. */
export class Query {
  /** Names and values as they came, decoded. */
  readonly all: readonly (readonly [string, string])[]
  readonly #values: ReadonlyMap<string, string>

  constructor(query: string) {
    const parts = query.split('&').filter((part) => part !== '')
    this.all = parts.map((part) => {
      const [name = '', ...value] = part.split('=')
      return [decode(name, 'query'), decode(value.join('='), name)] as const
    })
    this.#values = new Map(this.all)
  }

  text(name: string): string | undefined {
    return this.#values.get(name)
  }

  /** A whole number from 0. */
  count(name: string): number | undefined {
    const text = this.#values.get(name)
    if (text === undefined) return undefined
    const value = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw bad(name, 'must be a whole number from 0')
    return value
  }

  truth(name: string): boolean | undefined {
    const text = this.#values.get(name)
    if (text === undefined) return undefined
    if (text === 'true' || text === '1') return true
    if (text === 'false' || text === '0') return false
    throw bad(name, 'must be true or false')
  }

  octal(name: string): number | undefined {
    const text = this.#values.get(name)
    if (text === undefined) return undefined
    if (!/^[0-7]{1,5}$/.test(text)) throw bad(name, 'must be permission bits in octal, such as 644')
    return Number.parseInt(text, 8)
  }
}

export function decode(text: string, field: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    const problem = `${field} is not UTF-8 in percent-encoding`
    throw new CoveError(field === 'path' ? 'path-invalid' : 'invalid-argument', problem, { field })
  }
}
