import type { Guest } from '@cove/domain'

/** A TCP port that something in a sandbox listens on. */
export interface ListeningPort {
  readonly port: number
  /** Every address it listens on, each once, in the order in which the kernel tells them. */
  readonly addresses: readonly string[]
}

/** The tables of a sandbox are its own to fill, so only this much of each is looked at. */
const TABLE_BYTES = 4 * 1024 * 1024
const LISTEN = '0A'

/** Reads what listens from the kernel's tables inside the sandbox; no program in it is asked. */
export async function listeningPorts(guest: Guest, signal?: AbortSignal): Promise<readonly ListeningPort[]> {
  const [four, six] = await Promise.all([
    readTable(guest, '/proc/net/tcp', signal),
    // A sandbox without IPv6 has no such table.
    readTable(guest, '/proc/net/tcp6', signal).catch(() => ''),
  ])
  return parseTables(four, six)
}

/** Lines that are not what the kernel writes are skipped. Ports in ascending order. */
export function parseTables(...tables: readonly string[]): readonly ListeningPort[] {
  const ports = new Map<number, Set<string>>()
  for (const table of tables) {
    for (const line of table.split('\n')) {
      const [, hex = '', portHex = '', state] = LINE.exec(line) ?? []
      const port = Number.parseInt(portHex, 16)
      const address = parseAddress(hex)
      if (state?.toUpperCase() !== LISTEN || address === undefined || !(port >= 1)) continue
      ports.set(port, (ports.get(port) ?? new Set()).add(address))
    }
  }
  return [...ports]
    .toSorted(([one], [other]) => one - other)
    .map(([port, addresses]) => ({ port, addresses: [...addresses] }))
}

const LINE =
  /^ *\d+: ([0-9A-Fa-f]{8}|[0-9A-Fa-f]{32}):([0-9A-Fa-f]{4}) (?:[0-9A-Fa-f]{8}|[0-9A-Fa-f]{32}):[0-9A-Fa-f]{4} ([0-9A-Fa-f]{2}) /

/** Each group of 4 bytes is written as one number of the host's byte order: little-endian on every supported one. */
function parseAddress(hex: string): string | undefined {
  const bytes = Buffer.from(hex, 'hex')
  if (bytes.length !== 4 && bytes.length !== 16) return undefined
  bytes.swap32()
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2).toString(16))
  // The parser of URLs shortens zeros in the one canonical way.
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1)
}

async function readTable(guest: Guest, path: string, signal: AbortSignal | undefined): Promise<string> {
  const { content } = await guest.readFile(path, { user: 'root' }, signal)
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of content) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= TABLE_BYTES) break
  }
  return Buffer.concat(chunks).toString('latin1')
}
