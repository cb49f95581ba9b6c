import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const UNSHARE = '/usr/bin/unshare'
const IP = '/usr/sbin/ip'
const missing =
  process.getuid?.() !== 0
    ? 'a network namespace needs root'
    : [UNSHARE, IP].every(existsSync)
      ? undefined
      : 'ip is not installed (package iproute2)'
if (missing !== undefined) console.log(`skipped: redirects by a public registry: ${missing}`)

describe.skipIf(missing !== undefined)('a registry of the public internet', () => {
  test('sends nobody to this machine, and everybody to another public address', () => {
    const program = join(import.meta.dirname, '../testing/public-redirect-program.ts')
    const script = `${IP} link set lo up && ${IP} addr add 93.184.216.34/32 dev lo && ${IP} addr add 93.184.216.35/32 dev lo
      exec "$0" "$1" 93.184.216.34 93.184.216.35`
    const output = execFileSync(UNSHARE, ['--net', '/bin/sh', '-c', script, process.execPath, program], {
      encoding: 'utf8',
      timeout: 50_000,
    })
    const lines = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { what: string; by: string; outcome: string; asked: number })
    const others = lines.filter(({ what }) => what !== 'another public address')
    expect(others).toHaveLength(15)
    for (const { outcome, asked, ...which } of others) {
      expect({ ...which, outcome: outcome.replace(/".*"/, '…'), asked }).toEqual({
        ...which,
        outcome: 'image-invalid: the registry sends to …, which is an address of this machine or its network',
        asked: 0,
      })
    }
    expect(lines.at(-1)).toMatchObject({ outcome: 'fetched', asked: 2 })
  })
})
