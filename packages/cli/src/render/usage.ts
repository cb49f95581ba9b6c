import { nearestName } from '../nearest.ts'

/** "error: unknown command 'x'\n(Did you mean y?)" is a cause and a remedy. `path` is the command that it is about. */
export function readUsageError(text: string, path: readonly string[]): { message: string; fix: string } {
  const [first = '', ...rest] = text.trim().split('\n')
  const message = first.replace(/^error: /, '').replace(/^command-argument value/, 'value')
  const guess = /\(Did you mean (?:one of )?(.+)\?\)/.exec(rest.join(' '))?.[1] ?? nearestChoice(message)
  const help = `cove ${[...path, '--help'].join(' ')}`
  return { message, fix: guess === undefined ? `See \`${help}\`.` : `Did you mean ${guess}?` }
}

/** Of "… 'internt' is invalid. Allowed choices are none, internet.": internet. */
function nearestChoice(message: string): string | undefined {
  const [, typed, choices] = /'([^']*)' is invalid.*Allowed choices are (.+)\.$/.exec(message) ?? []
  if (typed === undefined || choices === undefined) return undefined
  return nearestName(typed, choices.split(', '))
}
