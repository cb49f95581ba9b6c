import type { Request } from './messages.ts'

/** About the memory that a request holds while it waits. */
export function requestBytes(request: Request): number {
  let bytes = 256
  if (request.type !== 'txn') return bytes
  for (const op of request.ops) bytes += op.key.length + (op.type === 'put' ? op.value.byteLength : 0)
  return bytes
}
