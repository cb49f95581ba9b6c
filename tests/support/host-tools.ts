import { execFileSync } from 'node:child_process'

/**
 * What sandboxes of the template `host` would look for in vain; undefined when nothing is missing. They see the
 * distribution's programs, and not those of whoever runs the tests.
 */
export function missingOnHost(commands: readonly string[]): string | undefined {
  for (const command of commands) {
    try {
      execFileSync('/bin/sh', ['-c', command], { env: { PATH: '/usr/local/bin:/usr/bin:/bin' }, stdio: 'ignore' })
    } catch {
      return `\`${command}\` fails on this host`
    }
  }
  return undefined
}
