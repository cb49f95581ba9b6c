import type { Limits, Network, SandboxSpec, TemplateMemory } from '@cove/domain'
import type { MemoryRecord } from './template-record.ts'

/** Whether a sandbox that is to have this can go on from a template's memory. */
export function fitMemory(
  { snapshot, driver, limits, network }: MemoryRecord,
  wanted: Pick<SandboxSpec, 'limits' | 'network' | 'volumes'>,
): TemplateMemory {
  const unfit = whyNot(limits, network, wanted)
  return { snapshot, driver, ...(unfit === undefined ? {} : { unfit }) }
}

function whyNot(
  limits: Limits,
  network: Network,
  wanted: Pick<SandboxSpec, 'limits' | 'network' | 'volumes'>,
): string | undefined {
  if (wanted.volumes.length > 0) return 'it was saved without volumes'
  const names = new Set([...Object.keys(limits), ...Object.keys(wanted.limits)] as (keyof Limits)[])
  for (const name of names) {
    const [saved, asked] = [limits[name]?.value, wanted.limits[name]?.value]
    if (saved !== asked) return `it was saved with ${name} ${saved ?? 'unlimited'}, not ${asked ?? 'unlimited'}`
  }
  if (sameNetwork(network, wanted.network)) return undefined
  return `it was saved with the network ${network.kind}, and with what that may reach`
}

const sameNetwork = (one: Network, other: Network): boolean => textOf(one) === textOf(other)

const textOf = (network: Network): string =>
  JSON.stringify(network.kind === 'none' ? [] : ['internet', ...network.allow.toSorted()])
