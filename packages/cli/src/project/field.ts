import { parseAllow, parseBytes, parseDuration, type Timeout } from '@cove/domain'

/** How one value of a file is read, and how its JSON schema describes it. `read` throws what is wrong. */
export interface Leaf<Value> {
  readonly about: string
  readonly schema: Readonly<Record<string, unknown>>
  readonly read: (value: unknown) => Value
}
export interface ListOf<Item> {
  readonly about: string
  readonly item: Item
}
export interface MapOf<Value> {
  readonly about: string
  readonly value: Leaf<Value>
}
export interface GroupOf<Fields> {
  readonly about: string
  readonly fields: Fields
}

/** Whatever a file can say at one place. */
export type Field = Leaf<unknown> | ListOf<Field> | MapOf<unknown> | GroupOf<{ readonly [Name in string]: Field }>

/** What is read of it. */
export type ValueOf<Node> =
  Node extends ListOf<infer Item>
    ? readonly ValueOf<Item>[]
    : Node extends MapOf<infer Item>
      ? Readonly<Record<string, Item>>
      : Node extends GroupOf<infer Inner>
        ? { readonly [Name in keyof Inner]?: ValueOf<Inner[Name]> }
        : Node extends Leaf<infer Item>
          ? Item
          : never

export class WrongValue extends Error {}

export const text = (about: string, pattern?: RegExp, want = 'text'): Leaf<string> => ({
  about,
  schema: { type: 'string', ...(pattern === undefined ? {} : { pattern: pattern.source }) },
  read: (value) => {
    if (typeof value === 'string' && value !== '' && pattern?.test(value) !== false) return value
    throw new WrongValue(`must be ${want}`)
  },
})

export const choice = <const Value extends string>(about: string, values: readonly Value[]): Leaf<Value> => ({
  about,
  schema: { enum: values },
  read: (value) => {
    const found = values.find((known) => known === value)
    if (found === undefined) throw new WrongValue(`must be one of ${values.join(', ')}`)
    return found
  },
})

export const timeout = (about: string): Leaf<Timeout> => ({
  about,
  schema: { type: 'string', pattern: '^(never|(\\d+(\\.\\d+)?(ms|s|m|h|d))+)$' },
  read: (value) => (value === 'never' ? 'never' : parseText(value, parseDuration, 'a time such as 30m, or never')),
})

export const size = (about: string): Leaf<number> => ({
  about,
  schema: { type: ['string', 'integer'] },
  read: (value) => parseText(value, parseBytes, 'a size such as 512MiB'),
})

export const amount = (about: string): Leaf<number> => ({
  about,
  schema: { type: 'number', exclusiveMinimum: 0 },
  read: (value) => {
    if (typeof value === 'number' && value > 0 && Number.isFinite(value)) return value
    throw new WrongValue('must be a number above 0')
  },
})

export const whole = (about: string, most: number): Leaf<number> => ({
  about,
  schema: { type: 'integer', minimum: 1, maximum: most },
  read: (value) => {
    if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= most) return Number(value)
    throw new WrongValue(`must be a whole number from 1 to ${most}`)
  },
})

/** Values of variables and labels: what YAML takes for a number or a truth is text all the same. */
export const scalar = (about: string): Leaf<string> => ({
  about,
  schema: { type: ['string', 'number', 'boolean'] },
  read: (value) => {
    if (['string', 'number', 'boolean'].includes(typeof value)) return String(value)
    throw new WrongValue('must be text, a number or a truth')
  },
})

export const allowed = (about: string): Leaf<string> => ({
  about,
  schema: { type: 'string' },
  read: (value) => {
    if (typeof value !== 'string') throw new WrongValue('must be text, such as db.example.com:5432')
    parseAllow([value])
    return value
  },
})

/** A program and its arguments, or a text for the shell. */
export const command = (about: string): Leaf<string | readonly string[]> => ({
  about,
  schema: { type: ['string', 'array'], items: { type: 'string' }, minLength: 1, minItems: 1 },
  read: (value) => {
    if (typeof value === 'string' && value.trim() !== '') return value
    if (Array.isArray(value) && value.length > 0 && value.every((word) => typeof word === 'string')) {
      return value.map(String)
    }
    throw new WrongValue('must be a command: text for the shell, or a list of program and arguments')
  },
})

/** Milliseconds. */
export const time = (about: string): Leaf<number> => ({
  about,
  schema: { type: 'string', pattern: String.raw`^(\d+(\.\d+)?(ms|s|m|h|d))+$` },
  read: (value) => parseText(value, parseDuration, 'a time such as 30s'),
})

function parseText<Value>(value: unknown, parse: (text: string) => Value, want: string): Value {
  try {
    if (typeof value === 'string' || typeof value === 'number') return parse(String(value))
  } catch {
    // Said below, in the words of this file.
  }
  throw new WrongValue(`must be ${want}`)
}
