import { parseSandboxId, type SandboxId } from '@cove/domain'
import { checkPort } from './check-port.ts'

/** One port of one sandbox. */
export interface PortAddress {
  readonly sandbox: SandboxId
  readonly port: number
}

export interface PreviewHostsOptions {
  /** The name under which every preview has a host, such as `localhost` or `preview.example.com`. */
  readonly domain: string
  /** What browsers see when something stands in front of the server; its scheme and port go into addresses. */
  readonly publicUrl?: URL
  /** The port that the server listens on; undefined before it does. */
  readonly listening: () => number | undefined
}

const REMEMBERED = 1_024
const HOST = /^(\d{1,5})-([a-z2-7]{16})\.([a-z0-9.-]{1,253})$/
const AUTHORITY = /^([A-Za-z0-9.-]{1,285}|\[[0-9a-fA-F:.]{2,45}\])(?::(\d{1,5}))?$/

/** The host names of previews, `<port>-<id>.<domain>`, and the addresses made of them. */
export class PreviewHosts {
  readonly domain: string
  readonly #options: PreviewHostsOptions
  /** The same few hosts are asked for again and again. */
  readonly #parsed = new Map<string, PortAddress>()

  constructor(options: PreviewHostsOptions) {
    this.domain = options.domain.toLowerCase()
    this.#options = options
  }

  /** True when browsers reach previews over TLS. */
  get secure(): boolean {
    return this.#options.publicUrl?.protocol === 'https:'
  }

  /** True when whoever connects is something that stands in front, and says whom it speaks for. */
  get isBehindProxy(): boolean {
    return this.#options.publicUrl !== undefined
  }

  /** What a Host header or `:authority` names; undefined for every other host. */
  parse(authority: string | undefined): PortAddress | undefined {
    if (authority === undefined) return undefined
    const known = this.#parsed.get(authority)
    if (known !== undefined) return known
    const address = this.#parse(authority)
    if (address !== undefined) {
      if (this.#parsed.size >= REMEMBERED) this.#parsed.clear()
      this.#parsed.set(authority, address)
    }
    return address
  }

  #parse(authority: string): PortAddress | undefined {
    const name = AUTHORITY.exec(authority)?.[1]
    const [, digits = '', id = '', domain] = HOST.exec(name?.toLowerCase().replace(/\.$/, '') ?? '') ?? []
    if (domain !== this.domain) return undefined
    return portAddress(digits, id)
  }

  host({ sandbox, port }: PortAddress): string {
    return `${port}-${sandbox}.${this.domain}`
  }

  /** `via` is the host that the caller itself used: its port is the one that works from there. */
  origin(address: PortAddress, via?: string): string {
    const { publicUrl, listening } = this.#options
    const host = this.host(address)
    if (publicUrl !== undefined) return `${publicUrl.protocol}//${host}${suffix(publicUrl.port)}`
    const match = via === undefined ? null : AUTHORITY.exec(via)
    const port = match === null ? String(listening() ?? '') : (match[2] ?? '')
    return `http://${host}${suffix(port === '80' ? '' : port)}`
  }
}

/** Undefined unless both are in the one form that is theirs: no leading zeros, no capitals. */
export function portAddress(digits: string, id: string): PortAddress | undefined {
  if (!/^[1-9]\d{0,4}$/.test(digits)) return undefined
  try {
    return { sandbox: parseSandboxId(id), port: checkPort(Number(digits)) }
  } catch {
    return undefined
  }
}

function suffix(port: string): string {
  return port === '' ? '' : `:${port}`
}
