import { connect } from 'node:net'
import { CoveError } from '@cove/domain'

/**
 * When a process counts as ready.
 *
 * - `port`: something answers on this port of loopback.
 * - `url`: it is answered with a status below 400.
 * - `log`: a line of its output has this pattern in it.
 * - `command`: this line of the shell, run where the process runs, ends with 0.
 */
export type ReadyCheck =
  | { readonly kind: 'port'; readonly port: number }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'log'; readonly pattern: string }
  | { readonly kind: 'command'; readonly command: string }

const MOST_PATTERN = 1000
/** One look takes no longer than this, so that a server that hangs is asked again. */
const LOOK_MS = 5000

/** Reads `8080`, `port:8080`, `http://…`, `log:<pattern>` and `command:<line>`. `invalid-argument` for anything else. */
export function parseReadyCheck(text: string): ReadyCheck {
  const [, kind = '', rest = ''] = /^(port|log|command):(.*)$/s.exec(text) ?? []
  const number = kind === 'port' ? rest : text
  if (/^\d{1,5}$/.test(number) && Number(number) >= 1 && Number(number) <= 65_535) {
    return { kind: 'port', port: Number(number) }
  }
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return { kind: 'url', url: text }
  if (kind === 'command' && rest.trim() !== '') return { kind: 'command', command: rest }
  if (kind === 'log' && rest !== '' && rest.length <= MOST_PATTERN && isPattern(rest)) {
    return { kind: 'log', pattern: rest }
  }
  throw new CoveError('invalid-argument', `${JSON.stringify(text.slice(0, 80))} is no readiness check`, {
    field: 'ready',
  })
}

/** The same in words for people. */
export function describeReadyCheck(check: ReadyCheck): string {
  switch (check.kind) {
    case 'port':
      return `port ${check.port} to answer`
    case 'url':
      return `${check.url} to answer`
    case 'log':
      return `a line with /${check.pattern}/`
    case 'command':
      return `\`${check.command}\` to succeed`
  }
}

/**
 * One look at a port of loopback. With `staysMs` a connection counts when it is still there after that time, or has
 * brought something: what forwards a port of a container takes connections before anybody listens inside.
 */
export function portAnswers(port: number, signal: AbortSignal, staysMs = 0): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: LOOK_MS, signal })
    let timer: NodeJS.Timeout | undefined
    const settle = (answered: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answered)
    }
    socket.once('connect', () => {
      if (staysMs === 0) settle(true)
      else timer = setTimeout(settle, staysMs, true)
    })
    socket.once('data', () => settle(true))
    socket.once('timeout', () => settle(false))
    socket.once('error', () => settle(false))
    socket.once('close', () => settle(false))
  })
}

/** One look at an address: true for a status below 400. */
export async function urlAnswers(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(url, {
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS)]),
    })
    await response.body?.cancel()
    return response.status < 400
  } catch {
    return false
  }
}

function isPattern(text: string): boolean {
  try {
    RegExp(text, 'u').test('')
    return true
  } catch {
    return false
  }
}
