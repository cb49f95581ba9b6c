import { CoveError } from '@cove/domain'
import type { Authorizer } from './authorizer.ts'
import { isPlainAnswer, sentenceOf, statusFault } from './faults.ts'
import type { HttpAnswer, HttpClient } from './http-client.ts'
import { TemporaryFault } from './temporary-fault.ts'

/** One server of images: a registry, or a mirror of one. */
export class Endpoint {
  /** For people. */
  readonly name: string
  readonly #http: HttpClient
  readonly #authorizer: Authorizer
  readonly #prefix: string
  /** Where it may be; the first that answers is kept. */
  readonly #bases: URL[]

  /** Repositories lie below `prefix`, which is empty or ends in a slash. */
  constructor(name: string, bases: readonly URL[], prefix: string, http: HttpClient, authorizer: Authorizer) {
    this.name = name
    this.#bases = [...bases]
    this.#prefix = prefix
    this.#http = http
    this.#authorizer = authorizer
  }

  /**
   * What the registry has at `<repository>/<path>`: an answer of 200, 206 or 416. Everything else is thrown:
   * `TemporaryFault` where it may pass.
   */
  async get(
    repository: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const full = `${this.#prefix}${repository}`
    const scope = `repository:${full}:pull`
    const first = this.#authorizer.header(scope)
    let answer = await this.#try(`/v2/${full}/${path}`, withAuthorization(headers, first), signal)
    if (answer.status === 401 && this.#isOwn(answer)) {
      const renewed = await this.#authorizer.renew(answer, scope, first, signal)
      answer.discard()
      answer = await this.#try(`/v2/${full}/${path}`, withAuthorization(headers, renewed), signal)
    }
    if ([200, 206, 416].includes(answer.status)) return answer
    if (answer.status === 401 || answer.status === 403) throw this.#authorizer.refused(await sentenceOf(answer))
    throw await statusFault(answer, `${this.name}/${full}`)
  }

  /** Only the registry itself is told who one is; where it sends for a layer may ask as it likes. */
  #isOwn({ url }: HttpAnswer): boolean {
    return this.#bases.some(({ origin }) => origin === url.origin)
  }

  /** TLS where it is spoken; plain HTTP where that is allowed and TLS is not understood. */
  async #try(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpAnswer> {
    for (;;) {
      const [base, next] = this.#bases
      if (base === undefined) throw new CoveError('internal', `${this.name} has no address`)
      try {
        const answer = await this.#http.get({ url: new URL(path, base), headers, reach: 'anything', signal })
        this.#bases.splice(1)
        return answer
      } catch (error) {
        if (next === undefined || !speaksNoTls(error)) throw error
        if (this.#bases[0] === base) this.#bases.shift()
      }
    }
  }
}

function speaksNoTls(error: unknown): boolean {
  const fault = error instanceof TemporaryFault ? error.error : error
  const reason = fault instanceof CoveError ? String(fault.context['reason']) : ''
  return isPlainAnswer(reason) || reason === 'ECONNRESET'
}

function withAuthorization(
  headers: Readonly<Record<string, string>>,
  authorization: string | undefined,
): Readonly<Record<string, string>> {
  return authorization === undefined ? headers : { ...headers, Authorization: authorization }
}
