/** An address as a number, so that it can be compared and cut. */
export interface IpAddress {
  readonly family: 4 | 6
  readonly value: bigint
}

/** Bits of an address of each family. */
export const IP_BITS = { 4: 32, 6: 128 } as const

const DECIMAL = /^(?:0|[1-9]\d{0,2})$/
const HEX = /^[0-9a-f]{1,4}$/i

/** Undefined for everything that is not one plain address: no zones, no octal, no shortened IPv4. */
export function parseIp(text: string): IpAddress | undefined {
  if (text.includes(':')) return parse6(text)
  const value = parse4(text)
  return value === undefined ? undefined : { family: 4, value }
}

/** Four decimals, or eight groups of hexadecimals without shortening. */
export function formatIp({ family, value }: IpAddress): string {
  const parts: string[] = []
  const bits = family === 4 ? 8n : 16n
  for (let rest = value, left = family === 4 ? 4 : 8; left > 0; left--, rest >>= bits) {
    parts.unshift((rest & ((1n << bits) - 1n)).toString(family === 4 ? 10 : 16))
  }
  return parts.join(family === 4 ? '.' : ':')
}

/** The address with everything behind its first `bits` bits cleared. */
export function networkOf({ family, value }: IpAddress, bits: number): IpAddress {
  const rest = BigInt(IP_BITS[family] - bits)
  return { family, value: (value >> rest) << rest }
}

function parse4(text: string): bigint | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => DECIMAL.test(part) && Number(part) <= 255)) return undefined
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n)
}

function parse6(text: string): IpAddress | undefined {
  const [head = '', tail, ...more] = text.split('::')
  // An embedded IPv4 address is at the end or nowhere.
  if (more.length > 0 || (tail !== undefined && head.includes('.'))) return undefined
  const before = groups(head)
  const after = tail === undefined ? [] : groups(tail)
  if (before === undefined || after === undefined) return undefined
  const missing = 8 - before.length - after.length
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined
  const all = [...before, ...Array.from({ length: missing }, () => 0n), ...after]
  return { family: 6, value: all.reduce((value, group) => (value << 16n) | group, 0n) }
}

/** The last two groups may be written as an IPv4 address. */
function groups(text: string): bigint[] | undefined {
  if (text === '') return []
  const parts = text.split(':')
  const last = parts.at(-1) ?? ''
  const found: bigint[] = []
  for (const part of last.includes('.') ? parts.slice(0, -1) : parts) {
    if (!HEX.test(part)) return undefined
    found.push(BigInt(`0x${part}`))
  }
  if (!last.includes('.')) return found
  const embedded = parse4(last)
  return embedded === undefined ? undefined : [...found, embedded >> 16n, embedded & 0xffffn]
}
