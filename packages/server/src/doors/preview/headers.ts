import { CoveError } from '@cove/domain'

/** Headers that are about one connection and not about the message: RFC 9110, section 7.6.1, and their older kin. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

/** What the proxy says itself; whatever the client said of it is dropped. */
const REPLACED: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'expect',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-forwarded-server',
  'x-real-ip',
])

/** What a browser would take as said of more than the one host. */
const DROPPED_FROM_ANSWERS: ReadonlySet<string> = new Set([...HOP_BY_HOP, 'alt-svc', 'content-length'])

export const COOKIE = 'cove-preview'
/** Bound to its host by the browser itself; only over TLS. */
export const SECURE_COOKIE = '__Host-cove-preview'

/** The headers of a request that go in, as name, value, …; `connection` is what the header of that name says. */
export function requestHeaders(
  raw: readonly string[],
  connection: string | undefined,
  isSecret: (name: string, value: string) => boolean,
): string[] {
  const listed = tokens(connection)
  const kept: string[] = []
  const cookies: string[] = []
  let hosts = 0
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? ''
    const value = raw[at + 1] ?? ''
    const lower = name.toLowerCase()
    if (lower === 'host' && ++hosts > 1) throw new CoveError('invalid-argument', 'the request names two hosts')
    // Many servers hand programs both under one name, and would let the client's word stand for the proxy's.
    const meant = lower.includes('_') ? lower.replaceAll('_', '-') : lower
    if (HOP_BY_HOP.has(meant) || REPLACED.has(meant) || listed?.has(lower) === true) continue
    if (lower.startsWith(':') || meant.startsWith('cove-')) continue
    if (lower === 'cookie') {
      const others = value.includes(COOKIE) ? otherCookies(value) : value
      if (others !== '') cookies.push(others)
    } else if (!isSecret(meant, value)) {
      kept.push(name, value)
    }
  }
  // HTTP/2 may send one header for each cookie; HTTP/1.1 has one for all.
  if (cookies.length > 0) kept.push('cookie', cookies.join('; '))
  return kept
}

/** The headers of an answer that go out, as name, value, …; without the length of its body. */
export function answerHeaders(raw: readonly string[]): string[] {
  let listed: ReadonlySet<string> | undefined
  for (let at = 0; at < raw.length; at += 2) {
    if (raw[at]?.length === 10 && raw[at]?.toLowerCase() === 'connection') {
      listed = new Set([...(listed ?? []), ...(tokens(raw[at + 1]) ?? [])])
    }
  }
  const kept: string[] = []
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? ''
    const lower = name.toLowerCase()
    if (DROPPED_FROM_ANSWERS.has(lower) || listed?.has(lower) === true) continue
    const value = raw[at + 1] ?? ''
    if (lower !== 'set-cookie') {
      kept.push(name, value)
      continue
    }
    const bound = boundCookie(value)
    if (bound !== undefined) kept.push(name, bound)
  }
  return kept
}

/**
 * A cookie of the guest's for its own host only: with a `Domain` it would reach the other previews and perhaps the
 * API. The name of Cove's own cookie is not the guest's to set.
 */
export function boundCookie(cookie: string): string | undefined {
  const [pair = '', ...attributes] = cookie.split(';')
  const name = pair.slice(0, pair.indexOf('=')).trim()
  if (name === COOKIE || name === SECURE_COOKIE) return undefined
  if (!/domain/i.test(cookie)) return cookie
  return [pair, ...attributes.filter((one) => !/^\s*domain\s*(?:=|$)/i.test(one))].join(';')
}

/**
 * The values of Cove's cookie. Without TLS a page of another preview may set as many of that name as a browser keeps,
 * worth nothing and ahead of the right one; over TLS only the name that browsers bind to one host counts.
 */
export function previewCookies(header: string | undefined, isSecure: boolean): readonly string[] {
  if (header === undefined || !header.includes(COOKIE)) return []
  const wanted = isSecure ? SECURE_COOKIE : COOKIE
  const found: string[] = []
  for (const part of header.split(';', 256)) {
    const at = part.indexOf('=')
    if (at > 0 && part.slice(0, at).trim() === wanted) found.push(part.slice(at + 1).trim())
  }
  return found
}

function otherCookies(header: string): string {
  const kept = header.split(';').filter((part) => {
    const name = (part.includes('=') ? part.slice(0, part.indexOf('=')) : part).trim()
    return name !== COOKIE && name !== SECURE_COOKIE
  })
  return kept.join(';').trim()
}

function tokens(list: string | undefined): ReadonlySet<string> | undefined {
  if (list === undefined || list === 'keep-alive' || list === 'close') return undefined
  return new Set(list.split(',').map((one) => one.trim().toLowerCase()))
}
