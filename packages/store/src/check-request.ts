import { CoveError, STORE_LIMITS, type Compare, type Op, type RangeRequest, type WatchRequest } from '@cove/domain'

/**
 * The limits of the port, checked before anything else happens and by every implementation with the same words.
 * Each function throws `invalid-argument` and names the field.
 */
export function checkKey(key: string, field = 'key'): void {
  if (key.length === 0) throw invalid(field, 'is empty; a key has at least one character')
  checkText(key, field)
}

export function checkTxn(compare: readonly Compare[], then: readonly Op[]): void {
  if (compare.length > STORE_LIMITS.txnOps) throw tooMany('compare', compare.length)
  if (then.length > STORE_LIMITS.txnOps) throw tooMany('then', then.length)
  for (const each of compare) {
    checkKey(each.key, 'compare.key')
    if ('modRevision' in each) checkRevision(each.modRevision, 'compare.modRevision', 0)
  }
  const seen = new Set<string>()
  let bytes = 0
  for (const op of then) {
    checkKey(op.key, 'then.key')
    if (seen.has(op.key)) throw invalid('then.key', `names ${show(op.key)} twice; a transaction names each key once`)
    seen.add(op.key)
    bytes += Buffer.byteLength(op.key)
    if (op.type === 'put') {
      if (!(op.value instanceof Uint8Array)) throw invalid('then.value', `of ${show(op.key)} is not a Uint8Array`)
      if (op.value.byteLength > STORE_LIMITS.valueBytes) {
        throw invalid(
          'then.value',
          `of ${show(op.key)} has ${op.value.byteLength} bytes; at most ${STORE_LIMITS.valueBytes} are kept`,
        )
      }
      bytes += op.value.byteLength
    }
  }
  if (bytes > STORE_LIMITS.txnBytes) {
    throw invalid('then', `carries ${bytes} bytes; a transaction carries at most ${STORE_LIMITS.txnBytes}`)
  }
}

export function checkRange(request: RangeRequest, newest: number): void {
  checkText(request.prefix, 'prefix')
  if (request.after !== undefined) checkText(request.after, 'after')
  const { revision, limit } = request
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 1 && limit <= STORE_LIMITS.pageItems)) {
    throw invalid('limit', `is ${limit}; a page has 1 to ${STORE_LIMITS.pageItems} items`)
  }
  if (revision !== undefined) {
    checkRevision(revision, 'revision', 1)
    if (revision > newest) throw future('revision', revision, newest)
  }
}

export function checkWatch(request: WatchRequest): void {
  checkText(request.prefix, 'prefix')
  checkRevision(request.fromRevision, 'fromRevision', 1)
}

export function checkCompact(revision: number, newest: number): void {
  checkRevision(revision, 'revision', 1)
  if (revision > newest) throw future('revision', revision, newest)
}

export function checkTtl(ttlMs: number): void {
  if (!(Number.isSafeInteger(ttlMs) && ttlMs >= 1 && ttlMs <= STORE_LIMITS.leaseTtlMs)) {
    throw invalid('ttlMs', `is ${ttlMs}; a lease lasts 1 to ${STORE_LIMITS.leaseTtlMs} whole milliseconds`)
  }
}

function checkText(text: string, field: string): void {
  if (!text.isWellFormed()) throw invalid(field, `${show(text)} is not well-formed Unicode`)
  // A UTF-16 unit is at most three bytes, so most keys need no counting.
  if (text.length * 3 <= STORE_LIMITS.keyBytes) return
  const bytes = Buffer.byteLength(text)
  if (bytes > STORE_LIMITS.keyBytes) {
    throw invalid(field, `has ${bytes} bytes; at most ${STORE_LIMITS.keyBytes} are allowed`)
  }
}

function checkRevision(revision: number, field: string, least: number): void {
  if (!(Number.isSafeInteger(revision) && revision >= least)) {
    throw invalid(field, `is ${revision}; revisions are whole numbers from ${least}`)
  }
}

function tooMany(field: string, count: number): CoveError {
  return invalid(field, `has ${count} entries; a transaction has at most ${STORE_LIMITS.txnOps}`)
}

function future(field: string, revision: number, newest: number): CoveError {
  return invalid(field, `is ${revision}, which lies in the future; the newest is ${newest}`)
}

function invalid(field: string, problem: string): CoveError {
  return new CoveError('invalid-argument', `${field} ${problem}`, { field })
}

function show(key: string): string {
  return JSON.stringify(key.length > 80 ? `${key.slice(0, 80)}…` : key)
}
