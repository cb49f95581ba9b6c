import type { Environment, Installation } from '../installation.ts'
import { fetchHttp } from '../wire/fetch-http.ts'
import type { HttpSend } from '../wire/http.ts'

/** A page has no environment and no files: its address and key come from its own code. */
export function readInstallation(_url?: string, _env?: Environment): Installation {
  return {}
}

export function defaultHttp(base: URL): HttpSend {
  return fetchHttp(base, (url, init) => fetch(url, init))
}
