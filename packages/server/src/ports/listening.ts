import { CoveError, type Guest } from '@cove/domain'

/** A TCP port that something in a sandbox listens on. */
export interface ListeningPort {
  readonly port: number
  /** Every address it listens on, each once, in the order in which the kernel tells them. */
  readonly addresses: readonly string[]
}

/** The tables of a sandbox are its own to fill, so only this much of each is looked at. */
const TABLE_BYTES = 4 * 1024 * 1024
const LISTEN = '0A'

/** Processes whose tables are tried: each may end just then. */
const TRIES = 64

/** Reads what listens from the kernel's tables inside the sandbox; no program in it is asked. */
export async function listeningPorts(guest: Guest, signal?: AbortSignal): Promise<readonly ListeningPort[]> {
  let tries = 0
  for await (const process of views(guest, signal)) {
    if (tries++ === TRIES) break
    try {
      const four = await readTable(guest, `/proc/${process}net/tcp`, signal)
      // A sandbox without IPv6 has no such table.
      const six = await readTable(guest, `/proc/${process}net/tcp6`, signal).catch(() => '')
      return parseTables(four, six)
    } catch (error) {
      const { code } = CoveError.from(error)
      if (code !== 'file-permission-denied' && code !== 'file-not-found' && code !== 'io-error') throw error
    }
  }
  // Where there is no process there is no server.
  return []
}

/**
 * Through whose eyes to look. The guest agent keeps others, and thereby itself, from looking through its own; what it
 * has started sees the same network, and only whoever went to a network of its own sees another.
 */
async function* views(guest: Guest, signal: AbortSignal | undefined): AsyncGenerator<string> {
  yield ''
  const started = (await guest.processes(signal)).filter(({ exit }) => exit === undefined).map(({ pid }) => pid)
  for (const pid of started) yield `${pid}/`
  const others: number[] = []
  for await (const { name } of guest.list('/proc', {}, signal)) {
    if (/^\d{1,7}$/.test(name) && name !== '1') others.push(Number(name))
    if (others.length >= 4_096) break
  }
  for (const pid of others.toSorted((one, other) => one - other)) yield `${pid}/`
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
