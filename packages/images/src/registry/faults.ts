import { CoveError } from '@cove/domain'
import type { HttpAnswer } from './http-client.ts'
import { isObject } from './json.ts'
import { retryAfter, TemporaryFault } from './temporary-fault.ts'

/** Bytes of a refusal that are read for its sentence. */
const MAX_SENTENCE = 16 * 1024

/** What a broken connection means. Never throws away what is an error of ours already. */
export function connectionFault(error: unknown, url: URL): Error {
  if (error instanceof CoveError || error instanceof TemporaryFault) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const reason = error instanceof Error ? error.message : String(error)
  const message = `${url.host} cannot be reached: ${reason.slice(0, 200)}`
  const unavailable = (fix?: string): CoveError =>
    new CoveError('registry-unavailable', message, { reason: code }, { cause: error, ...(fix ? { fix } : {}) })
  if (isPlainAnswer(code)) {
    return unavailable(`If ${url.host} speaks plain HTTP and you trust the way to it, list it as insecure.`)
  }
  if (/CERT|SELF_SIGNED|ISSUER|ALTNAME|SIGNATURE/.test(code)) {
    return unavailable(`Give Cove the certificate of the authority that signed the one of ${url.host}.`)
  }
  if (code === 'ENOTFOUND') return unavailable('Check the name of the registry, and the network.')
  return new TemporaryFault(unavailable())
}

/** What comes of speaking TLS to a server that does not. */
export function isPlainAnswer(code: string): boolean {
  return code === 'EPROTO' || code.startsWith('ERR_SSL_')
}

/** What a status means that is no success; reads the sentence that comes with it. */
export async function statusFault(answer: HttpAnswer, what: string): Promise<Error> {
  const { status, headers, url } = answer
  const sentence = await sentenceOf(answer)
  const said = sentence === undefined ? `answered ${status}` : `says: ${sentence}`
  if (status === 404) return new CoveError('image-not-found', `${what} is not there; ${url.host} ${said}`, { status })
  const error = new CoveError('registry-unavailable', `${url.host} ${said} (${what})`, { status }, slowDown(status))
  const passes = status === 429 || status === 408 || status >= 500
  return passes ? new TemporaryFault(error, retryAfter(headers['retry-after'], Date.now())) : error
}

/** The registry's own words, in one line without control characters. */
export async function sentenceOf(answer: HttpAnswer): Promise<string | undefined> {
  try {
    const bytes = await answer.bytes(MAX_SENTENCE)
    const value: unknown = JSON.parse(bytes?.toString('utf8') ?? '')
    if (!isObject(value)) return undefined
    const list = Array.isArray(value['errors']) ? value['errors'] : [value]
    const first: unknown = list[0]
    if (!isObject(first)) return undefined
    const text = [first['message'], first['details'], first['code']].find((part) => typeof part === 'string')
    // oxlint-disable-next-line no-control-regex -- what a stranger sends may not steer a terminal
    return typeof text === 'string' ? text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, 200) : undefined
  } catch {
    return undefined
  }
}

function slowDown(status: number): { readonly fix?: string } {
  if (status !== 429) return {}
  return { fix: 'Wait, or log in: registries let those in more often whom they know.' }
}
