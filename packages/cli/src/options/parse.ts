import { parseBytes, parseDuration, type Timeout } from '@cove/domain'
import { InvalidArgumentError } from 'commander'

/** Readers of option values. What they cannot read is a usage error that names the option. */

export function duration(text: string): number {
  return usage(() => parseDuration(text), 'It must be a time with a unit, such as 500ms, 90s, 30m, 2h or 7d.')
}

export function timeout(text: string): Timeout {
  return text === 'never' ? 'never' : duration(text)
}

export function bytes(text: string): number {
  return usage(() => parseBytes(text), 'It must be a number of bytes, such as 512MiB, 1.5g or 4096.')
}

export function count(text: string): number {
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('It must be a whole number above 0.')
}

export function amount(text: string): number {
  if (/^\d{1,9}(\.\d{1,6})?$/.test(text) && Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('It must be a number above 0, such as 0.5 or 2.')
}

export function port(text: string): number {
  if (isPort(text)) return Number(text)
  throw new InvalidArgumentError('It must be a port from 1 to 65535.')
}

/** A port of a sandbox, and the local one where it was named. */
export interface PortPair {
  readonly port: number
  readonly local?: number
}

/** Collects `8000`, `8000:9000` and `8000:0`. */
export function portPair(text: string, previous: readonly PortPair[] = []): PortPair[] {
  const [inside = '', local, ...rest] = text.split(':')
  const known = local === undefined || local === '0' || isPort(local)
  if (!isPort(inside) || !known || rest.length > 0) {
    throw new InvalidArgumentError('It must be <port> or <port>:<local port>, such as 8000 or 8000:9000.')
  }
  return [...previous, { port: Number(inside), ...(local === undefined ? {} : { local: Number(local) }) }]
}

const isPort = (text: string): boolean => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535

/** A moment: so long ago, such as `1h`, or a date. */
export function moment(text: string): Date {
  const ago = /^\d/.test(text) && !text.includes('-') ? duration(text) : undefined
  const date = ago === undefined ? new Date(text) : new Date(Date.now() - ago)
  if (!Number.isNaN(date.getTime())) return date
  throw new InvalidArgumentError('It must be how long ago, such as 1h, or a date, such as 2026-01-31T12:00.')
}

/** Collects `NAME=value` of a repeatable option. */
export function pairs(text: string, previous: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=')
  if (at <= 0) throw new InvalidArgumentError('It must be written as NAME=value.')
  return { ...previous, [text.slice(0, at)]: text.slice(at + 1) }
}

/** Collects the values of a repeatable option. */
export function each(text: string, previous: readonly string[] = []): string[] {
  return [...previous, text]
}

function usage<T>(read: () => T, expected: string): T {
  try {
    return read()
  } catch {
    throw new InvalidArgumentError(expected)
  }
}
