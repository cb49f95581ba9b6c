import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import { parseSandboxId, type Clock, type Random, type Store } from '@cove/domain'
import type { PortAddress } from './preview-hosts.ts'

/** How long a link may wait for its one use. */
export const LINK_MS = 10 * 60_000
/** How a token of ours can be told from those of the programs behind a port. */
const LINK = 'cvl1'
const COOKIE = 'cvc1'
/** Port, time when it ends, milliseconds of the cookie, its latest end, name of this one link; then sandbox and key. */
const HEAD_BYTES = 2 + 6 + 4 + 6 + 16
const ID_LENGTH = 16
const NEVER = 2 ** 48 - 1
const USED = 'access/used-link/'

/** What a link grants once, and what the cookie that it becomes grants until it ends. */
export interface Grant {
  readonly address: PortAddress
  /** Unix milliseconds. */
  readonly expiresAt: number
  /** Id of the key that made the link; what it made is worth nothing when it is revoked. */
  readonly issuer: string
}

export interface LinkGrant extends Grant {
  /** Milliseconds that the cookie lasts from the moment of use. */
  readonly cookieMs: number
  /** Unix milliseconds beyond which no cookie may last. */
  readonly latest: number
  readonly nonce: string
}

/**
 * Signed links and cookies that open a private port. A link is good once: its use is written down before anything
 * is granted, in the store, so that it holds over restarts and between servers.
 */
export class PreviewTokens {
  readonly #key: () => Promise<KeyObject>
  readonly #store: Store
  readonly #clock: Clock
  readonly #random: Random

  constructor(key: () => Promise<KeyObject>, store: Store, clock: Clock, random: Random) {
    this.#key = key
    this.#store = store
    this.#clock = clock
    this.#random = random
  }

  /** Neither the link nor its cookie outlives `latest`, in Unix milliseconds. */
  async link(
    address: PortAddress,
    issuer: string,
    cookieMs: number,
    latest?: number,
  ): Promise<{ token: string; expiresAt: number }> {
    const now = this.#clock.now()
    const expiresAt = Math.min(now + LINK_MS, latest ?? Infinity)
    const grant = { address, issuer, expiresAt, cookieMs, latest: latest ?? NEVER }
    return { token: await this.#sign(LINK, grant, this.#random.bytes(16)), expiresAt }
  }

  /** The cookie that a link becomes now, and when it ends. */
  async cookie({ address, issuer, cookieMs, latest }: LinkGrant): Promise<{ value: string; expiresAt: number }> {
    const expiresAt = Math.min(this.#clock.now() + cookieMs, latest)
    return {
      value: await this.#sign(COOKIE, { address, issuer, expiresAt, cookieMs: 0, latest }, new Uint8Array(16)),
      expiresAt,
    }
  }

  /** Undefined unless it was signed here for this port and its time has not come. */
  readLink(token: string, address: PortAddress): Promise<LinkGrant | undefined> {
    return this.#read(LINK, token, address)
  }

  async readCookie(value: string, address: PortAddress): Promise<Grant | undefined> {
    return this.#read(COOKIE, value, address)
  }

  /** False when it was used before. */
  async use({ nonce, expiresAt }: LinkGrant): Promise<boolean> {
    const key = USED + nonce
    const lease = await this.#store.grantLease(Math.max(1_000, expiresAt - this.#clock.now()) + LINK_MS)
    const { ok } = await this.#store.txn(
      [{ key, absent: true }],
      [{ type: 'put', key, value: new Uint8Array(), lease }],
    )
    if (!ok) await this.#store.revokeLease(lease)
    return ok
  }

  async #sign(kind: string, grant: Omit<LinkGrant, 'nonce'>, nonce: Uint8Array): Promise<string> {
    const { sandbox, port } = grant.address
    const payload = Buffer.alloc(HEAD_BYTES + sandbox.length + grant.issuer.length)
    payload.writeUInt16BE(port, 0)
    payload.writeUIntBE(grant.expiresAt, 2, 6)
    payload.writeUInt32BE(grant.cookieMs, 8)
    payload.writeUIntBE(grant.latest, 12, 6)
    payload.set(nonce, 18)
    payload.write(sandbox + grant.issuer, HEAD_BYTES, 'latin1')
    const said = `${kind}.${payload.toString('base64url')}`
    return `${said}.${await this.#mac(said)}`
  }

  async #read(kind: string, token: string, address: PortAddress): Promise<LinkGrant | undefined> {
    const [, told, body = '', signature = ''] = TOKEN.exec(token) ?? []
    if (told !== kind) return undefined
    const payload = Buffer.from(body, 'base64url')
    // As texts: of the last characters not all bits are used, and only one of their spellings is the right one.
    const expected = await this.#mac(`${kind}.${body}`)
    const isSigned = timingSafeEqual(Buffer.from(signature, 'latin1'), Buffer.from(expected, 'latin1'))
    if (!isSigned || payload.length < HEAD_BYTES) return undefined
    const port = payload.readUInt16BE(0)
    const sandbox = payload.toString('latin1', HEAD_BYTES, HEAD_BYTES + ID_LENGTH)
    const expiresAt = payload.readUIntBE(2, 6)
    if (port !== address.port || sandbox !== address.sandbox || expiresAt <= this.#clock.now()) return undefined
    return {
      address: { port, sandbox: parseSandboxId(sandbox) },
      issuer: payload.toString('latin1', HEAD_BYTES + ID_LENGTH),
      expiresAt,
      cookieMs: payload.readUInt32BE(8),
      latest: payload.readUIntBE(12, 6),
      nonce: payload.toString('hex', 18, HEAD_BYTES),
    }
  }

  async #mac(said: string): Promise<string> {
    return createHmac('sha256', await this.#key())
      .update(said)
      .digest('base64url')
  }
}

const TOKEN = /^(cv[lc]1)\.([A-Za-z0-9_-]{1,200})\.([A-Za-z0-9_-]{43})$/

/** True for what looks like a link's token, signed or not: other values of `token` are the program's own. */
export function isLinkToken(text: string): boolean {
  return text.startsWith(`${LINK}.`)
}
