import { fromBinary } from '@bufbuild/protobuf'
import { ErrorDetailSchema } from '@cove/api'
import { CoveError, type ErrorCode, type ErrorContext } from '@cove/domain'
import type { HttpResponse } from './http.ts'

const MAX_ERROR_BYTES = 64 * 1024
const DETAIL_TYPE = 'cove.v1.ErrorDetail'

/** What an answer of a proxy, or of something that is not Cove, can be told apart by. */
const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid-argument',
  401: 'unauthenticated',
  403: 'permission-denied',
  404: 'unsupported',
  408: 'deadline-exceeded',
  413: 'payload-too-large',
  429: 'rate-limited',
  501: 'unsupported',
  502: 'connection-lost',
  503: 'connection-lost',
  504: 'deadline-exceeded',
}

const BY_CONNECT_CODE: ReadonlyMap<string, ErrorCode> = new Map([
  ['canceled', 'cancelled'],
  ['invalid_argument', 'invalid-argument'],
  ['deadline_exceeded', 'deadline-exceeded'],
  ['permission_denied', 'permission-denied'],
  ['resource_exhausted', 'rate-limited'],
  ['unimplemented', 'unsupported'],
  ['unavailable', 'connection-lost'],
  ['unauthenticated', 'unauthenticated'],
])

/** Reads the error out of an answer that is not a success. Total: there is always an error in the end. */
export async function errorFromResponse(response: HttpResponse): Promise<CoveError> {
  let text = ''
  try {
    text = new TextDecoder().decode(await response.bytes(MAX_ERROR_BYTES))
  } catch {
    // The status alone has to do.
  }
  const retryAfter = Number(response.header('retry-after') ?? Number.NaN)
  const extra: ErrorContext = Number.isFinite(retryAfter) ? { retryAfterMs: retryAfter * 1000 } : {}
  const fallback = BY_STATUS[response.status] ?? 'internal'
  return errorFromJson(parseJson(text), fallback, `the server answered HTTP ${response.status}`, extra)
}

/**
 * Reads Connect's error object (`code`, `message`, `details`), or Cove's own on plain HTTP routes (the same with
 * Cove's code, `fix` and `context` in it).
 */
export function errorFromJson(json: unknown, fallback: ErrorCode, text: string, extra: ErrorContext = {}): CoveError {
  if (!isObject(json)) return new CoveError(fallback, text, extra)
  const inner = isObject(json['error']) ? json['error'] : json
  const message = typeof inner['message'] === 'string' && inner['message'] !== '' ? inner['message'] : text
  const detail = readDetail(inner['details'])
  if (detail !== undefined) {
    const context = withRequestId({ ...detail.context, ...extra }, detail.requestId)
    return CoveError.fromWire(detail.code, message, context, detail.fix === '' ? undefined : detail.fix)
  }
  const code = typeof inner['code'] === 'string' ? inner['code'] : ''
  const requestId = typeof inner['requestId'] === 'string' ? inner['requestId'] : ''
  const context = withRequestId({ ...readContext(inner['context']), ...extra }, requestId)
  const known = BY_CONNECT_CODE.get(code)
  if (known !== undefined) return new CoveError(known, message, context)
  if (code === '' || /^[a-z_]+$/.test(code)) return new CoveError(fallback, message, context)
  return CoveError.fromWire(code, message, context, typeof inner['fix'] === 'string' ? inner['fix'] : undefined)
}

function readDetail(details: unknown) {
  if (!Array.isArray(details)) return undefined
  for (const detail of details as unknown[]) {
    if (!isObject(detail) || detail['type'] !== DETAIL_TYPE || typeof detail['value'] !== 'string') continue
    try {
      return fromBinary(ErrorDetailSchema, fromBase64(detail['value']))
    } catch {
      return undefined
    }
  }
  return undefined
}

function readContext(value: unknown): ErrorContext {
  const context: Record<string, string | number | boolean> = {}
  if (!isObject(value)) return context
  for (const [key, item] of Object.entries(value)) {
    if (typeof item === 'string' || typeof item === 'number' || typeof item === 'boolean') context[key] = item
  }
  return context
}

function withRequestId(context: ErrorContext, requestId: string): ErrorContext {
  return requestId === '' ? context : { ...context, requestId }
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
