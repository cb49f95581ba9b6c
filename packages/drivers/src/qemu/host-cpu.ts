import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'

/** Tells this host's processor from others, by model and abilities, for people and for comparing. */
export async function hostCpu(): Promise<string> {
  return cpuOf(await readFile('/proc/cpuinfo', 'utf8').catch(() => ''))
}

/** Of what `/proc/cpuinfo` says; the order of the abilities means nothing. */
export function cpuOf(cpuinfo: string): string {
  const said = (name: RegExp) => name.exec(cpuinfo)?.[1]?.trim() ?? ''
  const model = said(/^(?:model name|CPU part)\s*:(.*)$/m)
  const abilities = said(/^(?:flags|Features)\s*:(.*)$/m)
    .split(/\s+/)
    .toSorted()
    .join(' ')
  const digest = createHash('sha256')
    .update(JSON.stringify([model, abilities]))
    .digest('hex')
  return `${model === '' ? 'unknown' : model} (${digest.slice(0, 12)})`
}
