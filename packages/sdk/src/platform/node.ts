import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import type { Environment, Installation } from '../installation.ts'
import type { HttpSend } from '../wire/http.ts'
import { nodeHttp } from '../wire/node-http.ts'

/**
 * `COVE_URL` and `COVE_API_KEY`, else what the local daemon has written into its data directory. The key in there is
 * for the local Cove only: it is never offered to another host.
 */
export function readInstallation(url?: string, env: Environment = process.env): Installation {
  const directory = dataDirectory(env)
  const daemon = readDaemonUrl(join(directory, 'daemon.json'))
  const chosen = url ?? set(env['COVE_URL']) ?? daemon
  const local = chosen === undefined || chosen === daemon || isLoopback(chosen)
  const apiKey = set(env['COVE_API_KEY']) ?? (local ? readText(join(directory, 'api-key')) : undefined)
  return { ...(chosen === undefined ? {} : { url: chosen }), ...(apiKey === undefined ? {} : { apiKey }) }
}

const set = (value: string | undefined): string | undefined => (value === '' ? undefined : value)

function isLoopback(url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : ''
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

export function dataDirectory(env: Environment = process.env): string {
  const chosen = set(env['COVE_DATA_DIR'])
  if (chosen !== undefined) return chosen
  if (process.getuid?.() === 0) return '/var/lib/cove'
  const base = env['XDG_DATA_HOME']
  return base !== undefined && isAbsolute(base) ? join(base, 'cove') : join(homedir(), '.local/share/cove')
}

export function defaultHttp(base: URL): HttpSend {
  return nodeHttp(base)
}

function readDaemonUrl(path: string): string | undefined {
  const text = readText(path)
  if (text === undefined) return undefined
  try {
    const record: unknown = JSON.parse(text)
    if (typeof record !== 'object' || record === null || !('url' in record)) return undefined
    return typeof record.url === 'string' ? record.url : undefined
  } catch {
    // Half of a file says nothing; the call that follows tells where it tried.
    return undefined
  }
}

function readText(path: string): string | undefined {
  try {
    const text = readFileSync(path, 'utf8').trim()
    return text === '' ? undefined : text
  } catch {
    return undefined
  }
}
