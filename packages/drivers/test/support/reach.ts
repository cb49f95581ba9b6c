import type { Stage } from '../../src/conformance/index.ts'
import type { GuestLink } from '@cove/guest-link'

/** `tcp 10.1.2.3 80`, `udp fd12::1 53`. */
export interface Target {
  readonly protocol: 'tcp' | 'udp'
  readonly address: string
  readonly port: number
}

export const tcp = (address: string, port: number): Target => ({ protocol: 'tcp', address, port })
export const udp = (address: string, port: number): Target => ({ protocol: 'udp', address, port })

/** Tries all of them at the same time, with bash alone; what each answers, or `closed`. */
export function reachScript(targets: readonly Target[]): string {
  const tries = targets.map(({ protocol, address, port }, index) => {
    const ask = `exec 3<>/dev/${protocol}/${address}/${port} && ${protocol === 'udp' ? 'echo ask >&3 && head -n 1 <&3' : 'cat <&3'}`
    return `( said=$(timeout 2 bash -c '${ask}' 2>/dev/null); echo "${index} \${said:-closed}" ) &`
  })
  return `${tries.join('\n')}\nwait\n`
}

/** The answers in the order of the targets. */
export function readAnswers(stdout: string): readonly string[] {
  const answers: string[] = []
  for (const line of stdout.split('\n')) {
    const [index = '', ...said] = line.split(' ')
    if (index !== '') answers[Number(index)] = said.join(' ')
  }
  return answers
}

export async function reach(stage: Stage, link: GuestLink, targets: readonly Target[], user?: string) {
  const { stdout, stderr } = await stage.run(link, ['/bin/bash', '-c', reachScript(targets)], user)
  if (stderr !== '') throw new Error(stderr)
  return readAnswers(stdout)
}
