import { CoveError } from '@cove/domain'
import { parseChallenges, type Challenge } from './challenge.ts'
import { sentenceOf, statusFault } from './faults.ts'
import type { HttpAnswer, HttpClient } from './http-client.ts'
import { parseJson } from './json.ts'
import type { Keyring, Login } from './keyring.ts'
import { unlessAborted } from './temporary-fault.ts'

const MAX_TOKEN_ANSWER = 256 * 1024
/** What the specification says of a token without one. */
const DEFAULT_SECONDS = 60
const MAX_SCOPES = 1_000
const PRINTABLE = /^[\x21-\x7e]+$/

interface Held {
  readonly header: string
  readonly until: number
}

/** Proves to one registry who one is: remembers tokens by scope, renews them, and asks once for many who wait. */
export class Authorizer {
  readonly #registry: string
  readonly #http: HttpClient
  readonly #keyring: Keyring
  readonly #held = new Map<string, Held>()
  readonly #pending = new Map<string, Promise<string>>()
  readonly #closed: AbortSignal

  /** What was known when the registry asked last. */
  #login: Login = {}

  /** `registry` is the name that credentials are kept under; `closed` ends what is under way. */
  constructor(registry: string, http: HttpClient, keyring: Keyring, closed: AbortSignal) {
    this.#registry = registry
    this.#http = http
    this.#keyring = keyring
    this.#closed = closed
  }

  /** What worked last, while it may still. */
  header(scope: string): string | undefined {
    const held = this.#held.get(scope)
    return held === undefined || held.until <= Date.now() ? undefined : held.header
  }

  /** After a refusal, of `refused` if that was sent. Throws `unauthenticated` when nothing better is known. */
  async renew(answer: HttpAnswer, scope: string, refused: string | undefined, signal: AbortSignal): Promise<string> {
    const now = this.header(scope)
    if (now !== undefined && now !== refused) return now
    this.#held.delete(scope)
    const challenges = parseChallenges(answer.headers['www-authenticate'] ?? '')
    const pending = this.#pending.get(scope) ?? this.#ask(challenges, answer, scope)
    this.#pending.set(scope, pending)
    return unlessAborted(pending, signal)
  }

  async #ask(challenges: readonly Challenge[], answer: HttpAnswer, scope: string): Promise<string> {
    try {
      const login = await this.#keyring.login(this.#registry)
      this.#login = login
      const held = await this.#answerTo(challenges, answer, scope, login)
      if (this.#held.size >= MAX_SCOPES) this.#held.clear()
      this.#held.set(scope, held)
      return held.header
    } finally {
      this.#pending.delete(scope)
    }
  }

  async #answerTo(challenges: readonly Challenge[], answer: HttpAnswer, scope: string, login: Login): Promise<Held> {
    const { credentials } = login
    if (credentials?.kind === 'registry-token')
      return { header: `Bearer ${printable(credentials.token)}`, until: Infinity }
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
    if (bearer !== undefined) return this.#fetchToken(bearer, answer, scope, login)
    if (credentials?.kind === 'basic' && challenges.some(({ scheme }) => scheme === 'basic')) {
      return { header: basic(credentials), until: Infinity }
    }
    throw this.refused(await sentenceOf(answer), login)
  }

  async #fetchToken({ parameters }: Challenge, answer: HttpAnswer, scope: string, login: Login): Promise<Held> {
    const url = realmOf(parameters['realm'], answer.url)
    const fields = new URLSearchParams()
    if (parameters['service'] !== undefined) fields.set('service', parameters['service'])
    fields.set('scope', scope)
    const { credentials } = login
    const headers: Record<string, string> = credentials?.kind === 'basic' ? { Authorization: basic(credentials) } : {}
    const byForm = credentials?.kind === 'identity-token'
    if (byForm) {
      fields.set('grant_type', 'refresh_token')
      fields.set('client_id', 'cove')
      fields.set('refresh_token', credentials.token)
    } else {
      for (const [name, value] of fields) url.searchParams.append(name, value)
    }
    const given = await this.#http.get({
      url,
      headers,
      ...(byForm ? { form: fields } : {}),
      reach: answer.fromPrivate ? 'anything' : 'public',
      signal: this.#closed,
    })
    if ([400, 401, 403].includes(given.status)) throw this.refused(await sentenceOf(given), login)
    if (given.status !== 200) throw await statusFault(given, `a token of ${url.host}`)
    return toHeld(await given.bytes(MAX_TOKEN_ANSWER), url)
  }

  /** `unauthenticated`, with what can be done about it. */
  refused(sentence: string | undefined, { credentials, problem } = this.#login): CoveError {
    const name = this.#registry
    const said = sentence === undefined ? '' : `: ${sentence}`
    const known = credentials === undefined ? 'without a login' : 'with the login that is known'
    const why = problem === undefined ? '' : ` (${problem.message})`
    const file = this.#keyring.file
    const login = `Log in with \`docker login ${name}\`${file === undefined ? '' : `, which writes ${file}`}`
    return new CoveError(
      'unauthenticated',
      `${name} does not let Cove in ${known}${said}${why}`,
      { registry: name },
      { fix: `${login}, or check the name: many registries answer so for an image that is not there.` },
    )
  }
}

function toHeld(bytes: Buffer | undefined, url: URL): Held {
  if (bytes === undefined) throw strange(url)
  const body = parseJson(bytes, `the token of ${url.host}`)
  const token = [body['token'], body['access_token']].find((text) => typeof text === 'string' && text !== '')
  if (typeof token !== 'string') throw strange(url)
  const seconds = typeof body['expires_in'] === 'number' ? Math.max(0, body['expires_in']) : DEFAULT_SECONDS
  // It is renewed a little early, so that it does not end on its way.
  return { header: `Bearer ${printable(token)}`, until: Date.now() + seconds * 900 }
}

function realmOf(realm: string | undefined, from: URL): URL {
  const url = realm === undefined ? null : URL.parse(realm)
  const safe = url?.protocol === 'https:' || (url?.protocol === 'http:' && from.protocol === 'http:')
  if (url !== null && safe && url.username === '' && url.password === '') return url
  throw strange(from)
}

function basic({ username, password }: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** What goes into a header may not end it. */
function printable(token: string): string {
  if (PRINTABLE.test(token)) return token
  throw new CoveError('config-invalid', 'a token for the registry has characters that no token has')
}

function strange(url: URL): CoveError {
  return new CoveError('registry-unavailable', `${url.host} asks for a login in a way that Cove does not know`)
}
