import { CoveError } from '@cove/domain'

export type MessageId = string | number

/** One message of JSON-RPC, as far as a bridge has to know it. */
export interface Message {
  /** As it came, for sending it on. */
  readonly text: string
  /** Undefined for responses, batches, and what is no message. */
  readonly method?: string
  /** Present for requests and responses. */
  readonly id?: MessageId
  /** Revision that the message itself claims: those from 2026-07-28 on do, in every request. */
  readonly revision?: string
  /** What a request is about, which newer revisions repeat in a header. */
  readonly name?: string
  /** The request that a cancellation names. */
  readonly cancels?: MessageId
  /** Revision that a response to `initialize` has settled on. */
  readonly settled?: string
}

const REVISION_KEY = 'io.modelcontextprotocol/protocolVersion'

/** Methods whose subject is repeated in a header, and where it stands. */
const SUBJECTS: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
}

/** Undefined when it is no JSON. */
export function readMessage(text: string): Message | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const given = fieldOf(value, 'id')
  const id = idOf(given)
  // With an id that is none it is neither a request nor a notification.
  const method = given !== undefined && id === undefined ? undefined : textOf(value, 'method')
  const params = fieldOf(value, 'params')
  const revision = textOf(fieldOf(params, '_meta'), REVISION_KEY)
  const subject = method === undefined || !Object.hasOwn(SUBJECTS, method) ? undefined : SUBJECTS[method]
  const name = subject === undefined ? undefined : textOf(params, subject)
  const cancels = method === 'notifications/cancelled' ? idOf(fieldOf(params, 'requestId')) : undefined
  const settled = textOf(fieldOf(value, 'result'), 'protocolVersion')
  return {
    text,
    ...(method === undefined ? {} : { method }),
    ...(id === undefined ? {} : { id }),
    ...(revision === undefined ? {} : { revision }),
    ...(name === undefined ? {} : { name }),
    ...(cancels === undefined ? {} : { cancels }),
    ...(settled === undefined ? {} : { settled }),
  }
}

/** An answer that the bridge gives itself. */
export function errorMessage(id: MessageId | null, thrown: unknown, code = -32_000): string {
  const { code: name, message, fix } = CoveError.from(thrown)
  return JSON.stringify({
    jsonrpc: '2.0',
    id,
    error: { code, message: `${message}. ${fix}`, data: { code: name, fix } },
  })
}

function fieldOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return (value as Record<string, unknown>)[key]
}

function textOf(value: unknown, key: string): string | undefined {
  const field = fieldOf(value, key)
  return typeof field === 'string' ? field : undefined
}

function idOf(value: unknown): MessageId | undefined {
  return typeof value === 'string' || typeof value === 'number' ? value : undefined
}
