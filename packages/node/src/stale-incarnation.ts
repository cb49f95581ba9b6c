import { CoveError } from '@cove/domain'

/** Somebody asks for a machine of this sandbox that a later one has replaced. */
export function staleIncarnation(record: { sandbox: string; incarnation: number }, asked: number): CoveError {
  return new CoveError(
    'stale-incarnation',
    `sandbox ${record.sandbox} is at incarnation ${record.incarnation}, not ${asked}`,
    { current: record.incarnation, asked },
  )
}
