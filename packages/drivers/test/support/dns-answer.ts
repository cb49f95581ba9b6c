import { parseIp } from '@cove/domain'

/** Addresses by name. */
export type Names = Readonly<Record<string, readonly string[]>>

const A = 1
const AAAA = 28
const NO_SUCH_NAME = 3

/** The answer to one question for addresses, as RFC 1035 has it. */
export function dnsAnswer(query: Buffer, names: Names): Buffer {
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const question = query.subarray(12, at + 5)
  const type = query.readUInt16BE(at + 1)
  const known = names[labels.join('.').toLowerCase()]
  const records = (known ?? []).flatMap((text) => {
    const address = parseIp(text)
    if (address === undefined || (address.family === 4 ? A : AAAA) !== type) return []
    const bytes = Buffer.from(address.value.toString(16).padStart(address.family === 4 ? 8 : 32, '0'), 'hex')
    const head = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, bytes.length])
    return [Buffer.concat([head, bytes])]
  })
  const header = Buffer.alloc(12)
  header.writeUInt16BE(query.readUInt16BE(0), 0)
  header.writeUInt16BE(0x8180 | (known === undefined ? NO_SUCH_NAME : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records.length, 6)
  return Buffer.concat([header, question, ...records])
}
