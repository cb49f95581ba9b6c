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
  'cove-sandbox',
  'cove-port',
  'cove-key',
  'cove-project',
])

/** What a browser would take as said of more than the one host. */
const DROPPED_FROM_ANSWERS: ReadonlySet<string> = new Set([...HOP_BY_HOP, 'alt-svc'])

export const COOKIE = 'cove-preview'
/** Bound to its host by the browser itself; only over TLS. */
export const SECURE_COOKIE = '__Host-cove-preview'

/** The headers of a request that go in, as name, value, …; `listed` are those that `Connection` names, lowercase. */
export function requestHeaders(
  raw: readonly string[],
  connection: string | undefined,
  isSecret: (name: string, value: string) => boolean,
): string[] {
  const listed = tokens(connection)
  const kept: string[] = []
  const cookies: string[] = []
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? ''
    const value = raw[at + 1] ?? ''
    const lower = name.toLowerCase()
    if (HOP_BY_HOP.has(lower) || REPLACED.has(lower) || listed?.has(lower) === true || lower.startsWith(':')) continue
    if (lower === 'cookie') {
      const others = value.includes(COOKIE) ? otherCookies(value) : value
      if (others !== '') cookies.push(others)
    } else if (!isSecret(lower, value)) {
      kept.push(name, value)
    }
  }
  // HTTP/2 may send one header for each cookie; HTTP/1.1 has one for all.
  if (cookies.length > 0) kept.push('cookie', cookies.join('; '))
  return kept
}

/** The headers of an answer that go out, as name, value, … */
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
    if (DROPPED_FROM_ANSWERS.has(lower) || (listed?.has(lower) === true && lower !== 'content-length')) continue
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

/** The values of Cove's cookie; a page of another host may have set one of the same name that is worth nothing. */
export function previewCookies(header: string | undefined): readonly string[] {
  if (header === undefined || !header.includes(COOKIE)) return []
  const found: string[] = []
  for (const part of header.split(';', 256)) {
    const at = part.indexOf('=')
    const name = part.slice(0, at).trim()
    if (name === COOKIE || name === SECURE_COOKIE) found.push(part.slice(at + 1).trim())
  }
  return found.slice(0, 4)
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
