/** What a JSON value has to look like. Plain data, so that it can be read, compared and checked against. */
export type Rule = TextRule | FlagRule | WholeRule | AnyRule | ListRule | MapRule | ShapeRule

interface TextRule<Text extends string = string> {
  readonly kind: 'text'
  /** Absent: any text. */
  readonly oneOf?: readonly Text[]
}
interface FlagRule {
  readonly kind: 'flag'
}
interface WholeRule {
  readonly kind: 'whole'
  readonly least?: number
  readonly most?: number
}
interface AnyRule {
  readonly kind: 'any'
}
interface ListRule<Item extends Rule = Rule> {
  readonly kind: 'list'
  readonly of: Item
}
interface MapRule<Item extends Rule = Rule> {
  readonly kind: 'map'
  readonly of: Item
}
type Fields = Readonly<Record<string, Rule>>
interface ShapeRule<Must extends Fields = Fields, May extends Fields = Fields> {
  readonly kind: 'shape'
  readonly must: Must
  readonly may: May
}

/** The TypeScript type of what a rule lets through. */
export type Of<R> = R extends { readonly kind: 'shape'; readonly must: infer Must; readonly may: infer May }
  ? { readonly [Name in keyof Must]: Of<Must[Name]> } & { readonly [Name in keyof May]?: Of<May[Name]> }
  : R extends { readonly kind: 'list'; readonly of: infer Item }
    ? readonly Of<Item>[]
    : R extends { readonly kind: 'map'; readonly of: infer Item }
      ? Readonly<Record<string, Of<Item>>>
      : R extends TextRule<infer Text>
        ? Text
        : R extends FlagRule
          ? boolean
          : R extends WholeRule
            ? number
            : unknown

export const text: TextRule = { kind: 'text' }
export const flag: FlagRule = { kind: 'flag' }
export const anything: AnyRule = { kind: 'any' }
export const oneOf = <const Text extends string>(...values: readonly Text[]): TextRule<Text> => ({
  kind: 'text',
  oneOf: values,
})
export const whole = (least?: number, most?: number): WholeRule => ({
  kind: 'whole',
  ...(least === undefined ? {} : { least }),
  ...(most === undefined ? {} : { most }),
})
export const list = <Item extends Rule>(of: Item): ListRule<Item> => ({ kind: 'list', of })
export const map = <Item extends Rule>(of: Item): MapRule<Item> => ({ kind: 'map', of })
export const shape = <Must extends Fields, May extends Fields>(must: Must, may: May): ShapeRule<Must, May> => ({
  kind: 'shape',
  must,
  may,
})

export const only = <Must extends Fields>(must: Must) => shape(must, {})

/** `strict`: fields that the rule does not know are a problem, too. */
export type Strictness = 'strict' | 'lenient'

/** What is wrong with a value, in words that name the place; undefined when nothing is. */
export function problemOf(
  rule: Rule,
  value: unknown,
  at = 'body',
  strictness: Strictness = 'strict',
): string | undefined {
  switch (rule.kind) {
    case 'any':
      return undefined
    case 'text':
      if (typeof value !== 'string') return `${at} is not a text`
      return rule.oneOf === undefined || rule.oneOf.includes(value)
        ? undefined
        : `${at} is none of ${rule.oneOf.join(', ')}`
    case 'flag':
      return typeof value === 'boolean' ? undefined : `${at} is neither true nor false`
    case 'whole':
      return wholeProblem(rule, value, at)
    case 'list':
      if (!Array.isArray(value)) return `${at} is not a list`
      return first(value.map((item: unknown, index) => () => problemOf(rule.of, item, `${at}[${index}]`, strictness)))
    case 'map':
      if (!isObject(value)) return `${at} is not an object`
      return first(
        Object.entries(value).map(
          ([name, item]) =>
            () =>
              problemOf(rule.of, item, `${at}.${name}`, strictness),
        ),
      )
    case 'shape':
      return shapeProblem(rule, value, at, strictness)
  }
}

function wholeProblem({ least, most }: WholeRule, value: unknown, at: string): string | undefined {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) return `${at} is not a whole number`
  // No amount of anything here is negative, whether the description says so or not.
  if (value < (least ?? 0)) return `${at} is less than ${least ?? 0}`
  return most === undefined || value <= most ? undefined : `${at} is more than ${most}`
}

function shapeProblem(
  { must, may }: ShapeRule,
  value: unknown,
  at: string,
  strictness: Strictness,
): string | undefined {
  if (!isObject(value)) return `${at} is not an object`
  const missing = Object.keys(must).find((name) => !Object.hasOwn(value, name))
  if (missing !== undefined) return `${at} has no field ${missing}`
  return first(
    Object.entries(value).map(([name, item]) => () => {
      const rule = fieldOf(must, name) ?? fieldOf(may, name)
      if (rule !== undefined) return problemOf(rule, item, `${at}.${name}`, strictness)
      return strictness === 'strict' ? `${at} has an unknown field ${name}` : undefined
    }),
  )
}

const fieldOf = (fields: Fields, name: string): Rule | undefined =>
  Object.hasOwn(fields, name) ? fields[name] : undefined

function first(checks: readonly (() => string | undefined)[]): string | undefined {
  for (const check of checks) {
    const problem = check()
    if (problem !== undefined) return problem
  }
  return undefined
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
