import { createHash } from 'node:crypto'
import { CoveError, type Sandbox } from '@cove/domain'
import type { CreateRequest } from './request.ts'

/** Makes an idempotency key into a part of a store key: bounded, and of a safe alphabet. */
export function digestKey(key: string): string {
  return createHash('sha256').update(key).digest('base64url')
}

/** The same for the same request, whatever the order of its maps. */
export function hashRequest(request: CreateRequest): string {
  return createHash('sha256').update(canonical(request)).digest('base64url')
}

export function conflict(): CoveError {
  return new CoveError('idempotency-conflict', 'this idempotency key was used for a different request', {
    field: 'idempotencyKey',
  })
}

interface Flight {
  readonly requestHash: string
  readonly result: Promise<Sandbox>
}

/** Creates under way in this process, so that the same call at the same time shares one result. */
export class Flights {
  readonly #flights = new Map<string, Flight>()

  share(key: string, requestHash: string, run: () => Promise<Sandbox>): Promise<Sandbox> {
    const flight = this.#flights.get(key)
    if (flight !== undefined) {
      if (flight.requestHash !== requestHash) return Promise.reject(conflict())
      return flight.result
    }
    const result = run().finally(() => this.#flights.delete(key))
    this.#flights.set(key, { requestHash, result })
    return result
  }
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
    return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(',')}}`
  }
  return JSON.stringify(value)
}
