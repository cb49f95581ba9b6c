import type * as z from 'zod'

const MOST = 5

/** What is wrong with the arguments of a tool, with their names. */
export function describeIssues(issues: readonly z.core.$ZodIssue[], known: readonly string[], args: unknown): string {
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return 'the arguments must be an object'
  const problems = issues.slice(0, MOST).map((issue) => describeIssue(issue, known, args))
  return problems.join('; ')
}

function describeIssue(issue: z.core.$ZodIssue, known: readonly string[], args: object): string {
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.slice(0, MOST).map((key) => JSON.stringify(key.slice(0, 60)))
    const where = issue.path.length === 0 ? '' : ` in ${issue.path.join('.')}`
    return `unknown argument${names.length > 1 ? 's' : ''} ${names.join(', ')}${where}`
  }
  const name = issue.path.join('.')
  const [first] = issue.path
  const isMissing = typeof first === 'string' && known.includes(first) && !(first in args)
  if (isMissing) return `${name} is required${choices(issue)}`
  return `${name} is wrong: ${lowerFirst(issue.message)}`
}

function choices(issue: z.core.$ZodIssue): string {
  return issue.code === 'invalid_value' && issue.values.length > 1 ? ` (${issue.values.map(String).join(', ')})` : ''
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}
