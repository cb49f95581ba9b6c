import type { BuildStep } from './ports/node-facets.ts'

const LONGEST = 160

/** One line for people. Values of variables are left out: some are secrets. */
export function describeStep(step: BuildStep): string {
  switch (step.kind) {
    case 'run':
      return `run ${short(step.command)}`
    case 'copy':
      return `copy to ${short(step.to)}`
    case 'env':
      return `env ${short(Object.keys(step.env).join(' '))}`
    case 'workdir':
      return `workdir ${short(step.path)}`
    case 'user':
      return `user ${short(step.user)}`
  }
}

function short(text: string): string {
  const line = text.trim().replaceAll(/[\p{Cc}\s]+/gu, ' ')
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line
}
