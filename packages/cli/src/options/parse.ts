import { parseBytes, parseDuration, type Timeout } from '@cove/domain'
import { InvalidArgumentError } from 'commander'

/** Readers of option values. What they cannot read is a usage error that names the option. */

export function duration(text: string): number {
  return usage(() => parseDuration(text))
}

export function timeout(text: string): Timeout {
  return text === 'never' ? 'never' : duration(text)
}

export function bytes(text: string): number {
  return usage(() => parseBytes(text))
}

export function count(text: string): number {
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('It must be a whole number above 0.')
}

export function amount(text: string): number {
  if (/^\d{1,9}(\.\d{1,6})?$/.test(text) && Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('It must be a number above 0, such as 0.5 or 2.')
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

function usage<T>(read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    throw new InvalidArgumentError(thrown instanceof Error ? `${thrown.message}.` : String(thrown))
  }
}
