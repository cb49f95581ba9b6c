import type { Environment, Installation } from '../installation.ts'
import { fetchHttp } from '../wire/fetch-http.ts'
import type { HttpSend } from '../wire/http.ts'

/** A page has no environment and no files: its address and key come from its own code. */
export function readInstallation(_url?: string, _env?: Environment): Installation {
  return {}
}

export function defaultHttp(base: URL): HttpSend {
  // A browser does not say whether nobody answers or the page may not ask.
  const fix = `Check that Cove runs at ${base.origin}, and that the host of this page is one of its allowed hosts.`
  return fetchHttp(base, (url, init) => fetch(url, init), { streams: false, fix })
}
