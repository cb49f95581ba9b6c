import type { Message } from './message.ts'

/**
 * What clients of revision 2025-11-25 and older have opened with `initialize`. It is kept in order to open it again
 * where the daemon has forgotten it, because it was restarted.
 */
export interface Session {
  readonly initialize: Message
  /** Undefined for a server without sessions. */
  id: string | undefined
  /** What the server has settled on. */
  revision: string | undefined
}

/** The headers that a message needs, besides those of every request. */
export function headersFor(message: Message, session: Session | undefined): Record<string, string> {
  const { revision, method, name } = message
  if (revision !== undefined) {
    return {
      'mcp-protocol-version': revision,
      ...(method === undefined ? {} : { 'mcp-method': method }),
      ...(name === undefined ? {} : { 'mcp-name': encode(name) }),
    }
  }
  if (session === undefined || method === 'initialize') return {}
  return {
    ...(session.id === undefined ? {} : { 'mcp-session-id': session.id }),
    ...(session.revision === undefined ? {} : { 'mcp-protocol-version': session.revision }),
  }
}

/** Text that a header cannot carry as it is goes in base64, marked as such. */
function encode(text: string): string {
  const isPlain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !/^=\?base64\?.*\?=$/i.test(text)
  return isPlain ? text : `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`
}
