/** Where an error came from first, for the log. */
export function stackOf(error: Error): string {
  const origin = error.cause instanceof Error ? error.cause : error
  return origin.stack ?? origin.message
}
