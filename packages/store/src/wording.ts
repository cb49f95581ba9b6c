/** Sentences that both sides of the worker's wire say; free of imports, for the worker loads little. */
export function compactedMessage(revision: number, compacted: number): string {
  return `revision ${revision} is no longer kept; history was compacted at ${compacted}`
}

export function leaseNotFoundMessage(lease: string): string {
  return `lease ${JSON.stringify(lease.slice(0, 80))} has ended or never was`
}
