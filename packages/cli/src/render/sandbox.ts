import { formatBytes, formatDuration } from '@cove/domain'
import type { LimitReport, SandboxInfo, Timeout } from '@cove/sdk'
import { detailsText } from './details.ts'
import type { Column } from './table.ts'
import { ageText } from './text.ts'

/** The columns of `cove ls`. */
export function sandboxColumns(now: () => number): readonly Column<SandboxInfo>[] {
  return [
    { title: 'ID', minWidth: 16, cell: ({ id }) => id },
    { title: 'NAME', cell: ({ name }) => name ?? '-' },
    { title: 'STATE', minWidth: 8, cell: stateText },
    { title: 'TEMPLATE', cell: ({ template }) => template },
    { title: 'ISOLATION', cell: ({ isolation }) => isolation ?? '-' },
    { title: 'AGE', cell: ({ createdAt }) => ageText(createdAt, now()) },
  ]
}

function stateText({ state, endReason, pausedToDisk }: SandboxInfo): string {
  if (state === 'paused' && pausedToDisk) return 'paused (to disk)'
  return endReason === undefined || endReason === 'deleted' ? state : `${state} (${endReason})`
}

function madeText({ pooled, restored }: SandboxInfo): string | undefined {
  const ways = [...(pooled ? ['ahead, for a pool'] : []), ...(restored ? ['from a saved memory'] : [])]
  return ways.length === 0 ? undefined : ways.join(', ')
}

/** Everything about one, a line each. */
export function sandboxDetails(sandbox: SandboxInfo): string {
  const lines: [string, string | undefined][] = [
    ['id', sandbox.id],
    ['name', sandbox.name],
    ['state', stateText(sandbox)],
    ['message', sandbox.message],
    ['template', sandbox.template],
    ['snapshot', sandbox.snapshot],
    ['made', madeText(sandbox)],
    ...sandbox.volumes.map(({ volume, path, readOnly }): [string, string] => [
      'volume',
      `${volume} at ${path}${readOnly ? ' (read only)' : ''}`,
    ]),
    ['isolation', sandbox.isolation],
    ['driver', sandbox.driver],
    ['node', sandbox.node],
    ['incarnation', String(sandbox.incarnation)],
    ['network', networkText(sandbox)],
    [
      'labels',
      Object.entries(sandbox.labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(', ') || undefined,
    ],
    ...sandbox.limits.map((limit): [string, string] => [LIMIT_TITLES[limit.name], limitText(limit)]),
    ['idle timeout', timeoutText(sandbox.idleTimeout) + (sandbox.onIdle === 'pause' ? ', then paused' : '')],
    ['when used', sandbox.autoResume ? 'resumes by itself' : undefined],
    ['lifetime', timeoutText(sandbox.lifetime)],
    ['deadline', sandbox.deadline?.toISOString()],
    ['created', sandbox.createdAt.toISOString()],
    ['changed', sandbox.changedAt.toISOString()],
  ]
  return detailsText(lines)
}

const LIMIT_TITLES = { memoryBytes: 'memory', cpus: 'processors', processes: 'processes', diskBytes: 'disk' } as const

/** What became of limits, a line each. */
export function limitLines(limits: readonly LimitReport[]): string {
  return detailsText(limits.map((limit): [string, string] => [LIMIT_TITLES[limit.name], limitText(limit)]))
}

/** Which limits a driver enforces on this machine, and which it does not. */
export function limitLine(enforces: readonly LimitReport['name'][]): string {
  const names = Object.keys(LIMIT_TITLES) as LimitReport['name'][]
  const titles = (enforced: boolean): string =>
    names
      .filter((name) => enforces.includes(name) === enforced)
      .map((name) => LIMIT_TITLES[name])
      .join(', ')
  const [yes, no] = [titles(true), titles(false)]
  return no === '' ? yes : `${yes === '' ? 'none' : yes} (cannot be enforced here: ${no})`
}

/** A sentence for each reason why limits are not enforced. */
export function unenforced(limits: readonly LimitReport[]): readonly string[] {
  const titles = new Map<string, string[]>()
  for (const { name, enforced, reason = '' } of limits) {
    if (!enforced) titles.set(reason, [...(titles.get(reason) ?? []), LIMIT_TITLES[name]])
  }
  return [...titles].map(
    ([reason, names]) => `no limit here for ${names.join(', ')}${reason === '' ? '' : `: ${reason}`}`,
  )
}

function limitText({ name, value, enforced, reason }: LimitReport): string {
  const amount = name === 'memoryBytes' || name === 'diskBytes' ? formatBytes(value) : String(value)
  return enforced ? amount : `${amount} (not enforced${reason === undefined ? '' : `: ${reason}`})`
}

const timeoutText = (timeout: Timeout): string => (timeout === 'never' ? 'never' : formatDuration(timeout))

function networkText({ network }: SandboxInfo): string {
  if (network.kind === 'none' || network.allow.length === 0) return network.kind
  return `${network.kind} (allowed: ${network.allow.join(', ')})`
}
