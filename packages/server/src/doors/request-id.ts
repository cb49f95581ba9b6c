import type { IncomingHttpHeaders } from 'node:http'
import { randomId, type Random } from '@cove/domain'

const SANE = /^[A-Za-z0-9._-]{1,64}$/

/** The client's own id when it is sane, else a new one. */
export function requestIdOf(headers: IncomingHttpHeaders, random: Random): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && SANE.test(given) ? given : randomId(random)
}
