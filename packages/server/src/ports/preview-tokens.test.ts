import { createSecretKey } from 'node:crypto'
import { MemoryStore } from '@cove/store'
import type { SandboxId } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { expect, test } from 'vitest'
import { ManualClock } from '../../test/support/manual-clock.ts'
import { isLinkToken, LINK_MS, PreviewTokens } from './preview-tokens.ts'

const address = { sandbox: 'abcdefghijklmnop' as SandboxId, port: 3000 }
const HOUR = 3_600_000

const keyOf = (fill: number) => () => Promise.resolve(createSecretKey(Buffer.alloc(32, fill)))

function open() {
  const clock = new ManualClock()
  const store = new MemoryStore({ clock })
  const tokens = new PreviewTokens(keyOf(1), store, clock, systemRandom)
  return { clock, store, tokens }
}

test('a link is for one port of one sandbox, for ten minutes, once, also behind another server', async () => {
  const { clock, store, tokens } = open()
  const { token, expiresAt } = await tokens.link(address, 'first', HOUR)
  expect(isLinkToken(token)).toBe(true)
  expect(expiresAt).toBe(clock.now() + LINK_MS)
  expect(await tokens.readLink(token, { ...address, port: 3001 })).toBeUndefined()
  expect(await tokens.readLink(token, { ...address, sandbox: 'qrstuvwxyz234567' as SandboxId })).toBeUndefined()
  const grant = await tokens.readLink(token, address)
  expect(grant).toMatchObject({ address, issuer: 'first', cookieMs: HOUR, expiresAt })
  if (grant === undefined) return
  const second = new PreviewTokens(keyOf(1), store, clock, systemRandom)
  expect(await Promise.all([tokens.use(grant), second.use(grant)])).toEqual(expect.arrayContaining([true, false]))
  await clock.advance(LINK_MS)
  expect(await tokens.readLink(token, address)).toBeUndefined()
})

test('a cookie is no link, a link is no cookie, and another key signs nothing', async () => {
  const { store, clock, tokens } = open()
  const { token } = await tokens.link(address, 'first', HOUR)
  const grant = await tokens.readLink(token, address)
  if (grant === undefined) throw new Error('no grant')
  const { value, expiresAt } = await tokens.cookie(grant)
  expect(expiresAt).toBe(clock.now() + HOUR)
  expect(await tokens.readCookie(value, address)).toMatchObject({ address, issuer: 'first' })
  expect(await tokens.readLink(value, address)).toBeUndefined()
  expect(await tokens.readCookie(token, address)).toBeUndefined()
  expect(await tokens.readCookie(value.replace('cvc1', 'cvl1'), address)).toBeUndefined()
  const other = new PreviewTokens(keyOf(2), store, clock, systemRandom)
  expect(await other.readCookie(value, address)).toBeUndefined()
  await clock.advance(HOUR)
  expect(await tokens.readCookie(value, address)).toBeUndefined()
})

test('neither outlives the key that made it', async () => {
  const { clock, tokens } = open()
  const latest = clock.now() + 60_000
  const { token, expiresAt } = await tokens.link(address, 'brief', HOUR, latest)
  expect(expiresAt).toBe(latest)
  const grant = await tokens.readLink(token, address)
  if (grant === undefined) throw new Error('no grant')
  expect((await tokens.cookie(grant)).expiresAt).toBe(latest)
})

test('no changed character is taken', async () => {
  const { tokens } = open()
  const { token } = await tokens.link(address, 'first', HOUR)
  for (let at = 0; at < token.length; at++) {
    const changed = token.slice(0, at) + (token[at] === 'B' ? 'C' : 'B') + token.slice(at + 1)
    expect([at, await tokens.readLink(changed, address)]).toEqual([at, undefined])
  }
  for (const odd of ['', 'cvl1..', 'cvl1.AA.AA', `cvl1.${'A'.repeat(300)}.${'A'.repeat(43)}`]) {
    expect(await tokens.readLink(odd, address)).toBeUndefined()
  }
})
