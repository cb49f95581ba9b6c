import { nearestName } from '../nearest.ts'

/** What people write who come from other tools, and the names here that may be meant. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  attach: ['shell'],
  connect: ['shell', 'context'],
  delete: ['rm', 'revoke'],
  describe: ['get'],
  destroy: ['rm'],
  enter: ['shell'],
  info: ['get', 'status'],
  inspect: ['get'],
  list: ['ls'],
  login: ['context'],
  new: ['create'],
  remove: ['rm', 'revoke'],
  rm: ['revoke'],
  serve: ['up'],
  server: ['up'],
  show: ['get', 'view'],
  ssh: ['shell'],
}

/**
 * "error: unknown command 'x'\n(Did you mean y?)" is a cause and a remedy. `path` is the command that it is about,
 * `names` are those of the commands inside it.
 */
export function readUsageError(
  text: string,
  path: readonly string[],
  names: readonly string[] = [],
): { message: string; fix: string } {
  const [first = '', ...rest] = text.trim().split('\n')
  const message = asUnknown(first.replace(/^error: /, '').replace(/^command-argument value/, 'value'), names)
  const guess =
    /\(Did you mean (?:one of )?(.+)\?\)/.exec(rest.join(' '))?.[1] ??
    nearestChoice(message) ??
    elsewhere(message, names)
  const help = `cove ${[...path, '--help'].join(' ')}`
  return { message, fix: guess === undefined ? `See \`${help}\`.` : `Did you mean ${guess}?` }
}

/** Where commands stand inside, and nothing else may, a word too many is one of them that is not there. */
function asUnknown(message: string, names: readonly string[]): string {
  const [, word] = /^too many arguments for '.*'\. Expected 0 arguments but got \d+: ([^,.]+)/.exec(message) ?? []
  return word === undefined || names.length === 0 ? message : `unknown command '${word}'`
}

function elsewhere(message: string, names: readonly string[]): string | undefined {
  const [, typed = ''] = /^unknown command '(.*)'$/.exec(message) ?? []
  const meant = Object.hasOwn(ELSEWHERE, typed) ? ELSEWHERE[typed] : undefined
  return meant?.find((name) => names.includes(name))
}

/** Of "… 'internt' is invalid. Allowed choices are none, internet.": internet. */
function nearestChoice(message: string): string | undefined {
  const [, typed, choices] = /'([^']*)' is invalid.*Allowed choices are (.+)\.$/.exec(message) ?? []
  if (typed === undefined || choices === undefined) return undefined
  return nearestName(typed, choices.split(', '))
}
