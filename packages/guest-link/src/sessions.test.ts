import type { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { CoveError } from '@cove/domain'
import { systemClock, systemRandom } from '@cove/domain/system'
import type { GuestLinkOptions } from './guest-link.ts'
import { openGuestLink } from './open-guest-link.ts'
import { FakeGuest } from './testing/fake-guest.ts'
import { HostileGuest } from './testing/hostile-guest.ts'

function fake(options: Partial<ConstructorParameters<typeof FakeGuest>[0]> = {}): FakeGuest {
  return new FakeGuest({ clock: systemClock, random: systemRandom, ...options })
}

function optionsFor(connect: GuestLinkOptions['connect'], more: Partial<GuestLinkOptions> = {}): GuestLinkOptions {
  let epoch = 0
  return { connect, token: new Uint8Array(32), nextEpoch: () => (epoch += 1), random: systemRandom, ...more }
}

describe('a link', () => {
  it('tries again when the agent is not there yet', async () => {
    const guest = fake()
    let attempts = 0
    await using link = await openGuestLink(
      optionsFor(() => {
        attempts += 1
        return attempts < 3 ? Promise.reject(new Error('ECONNREFUSED')) : guest.connect()
      }),
    )
    expect(attempts).toBe(3)
    expect((await link.metrics()).processes).toBe(0)
  })

  it('gives up after a few attempts', async () => {
    let attempts = 0
    const connect = () => {
      attempts += 1
      return Promise.reject(new Error('ECONNREFUSED'))
    }
    await expect(openGuestLink(optionsFor(connect))).rejects.toMatchObject({
      code: 'guest-unreachable',
      message: 'ECONNREFUSED',
    })
    expect(attempts).toBe(4)
  })

  it('does not try again what will never work', async () => {
    for (const code of ['unauthenticated', 'unsupported', 'stale-session'] as const) {
      const guest = new HostileGuest({ greet: (self) => self.refuse(code) })
      await expect(openGuestLink(optionsFor(() => guest.connect()))).rejects.toMatchObject({ code })
      expect(guest.connections).toBe(1)
    }
  })

  it('connects once for all who call after a drop', async () => {
    const guest = fake()
    const streams: Duplex[] = []
    let connections = 0
    await using link = await openGuestLink(
      optionsFor(async () => {
        connections += 1
        const stream = await guest.connect()
        streams.push(stream)
        return stream
      }),
    )
    streams[0]?.destroy()
    await new Promise(setImmediate)
    await Promise.all(Array.from({ length: 20 }, () => link.metrics()))
    expect(connections).toBe(2)
  })

  it('called in the very turn of the drop connects again', async () => {
    const guest = fake()
    const streams: Duplex[] = []
    await using link = await openGuestLink(
      optionsFor(async () => {
        const stream = await guest.connect()
        streams.push(stream)
        return stream
      }),
    )
    const later = new Promise((resolve) => streams[0]?.once('close', () => resolve(link.metrics())))
    streams[0]?.destroy()
    await expect(later).resolves.toMatchObject({ processes: 0 })
  })

  it('follows an agent that was started anew', async () => {
    let guest = fake()
    await using link = await openGuestLink(optionsFor(() => guest.connect()))
    const first = link.instance
    guest.stop()
    guest = fake({ agentVersion: '1.1.0' })
    await new Promise(setImmediate)
    await link.metrics()
    expect(link.instance).not.toBe(first)
    expect(link.agentVersion).toBe('1.1.0')
  })

  it('speaks with an agent that is one version newer, and not with one that is two', async () => {
    const newer = fake({ versions: { newest: 2, oldest: 1 } })
    await using link = await openGuestLink(optionsFor(() => newer.connect()))
    expect((await link.metrics()).processes).toBe(0)
    const tooNew = fake({ versions: { newest: 3, oldest: 2 } })
    await expect(openGuestLink(optionsFor(() => tooNew.connect()))).rejects.toMatchObject({ code: 'unsupported' })
  })

  it('stops opening when its signal aborts, and lets go of the stream', async () => {
    const guest = new HostileGuest({ greet() {} })
    const caller = new AbortController()
    let stream: Awaited<ReturnType<HostileGuest['connect']>> | undefined
    const opening = openGuestLink(
      optionsFor(
        async () => {
          stream = await guest.connect()
          return stream
        },
        { signal: caller.signal },
      ),
    )
    opening.catch(() => {})
    await new Promise(setImmediate)
    caller.abort()
    await expect(opening).rejects.toMatchObject({ code: 'cancelled' })
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    expect(stream?.destroyed).toBe(true)
  })

  it('tells a caller whose time is up while it connects', async () => {
    const guest = fake()
    let connections = 0
    await using link = await openGuestLink(
      optionsFor((signal) => {
        connections += 1
        if (connections === 1) return guest.connect()
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new CoveError('cancelled', 'aborted')))
        })
      }),
    )
    guest.stop()
    await new Promise(setImmediate)
    await expect(link.metrics(AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'deadline-exceeded' })
  })

  it('closed while it connects fails the calls that wait', async () => {
    const guest = fake()
    let connections = 0
    await using link = await openGuestLink(
      optionsFor((signal) => {
        connections += 1
        if (connections === 1) return guest.connect()
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')))
        })
      }),
    )
    guest.stop()
    await new Promise(setImmediate)
    const waiting = link.metrics()
    waiting.catch(() => {})
    await link.close()
    await expect(waiting).rejects.toMatchObject({ code: 'guest-unreachable' })
    await expect(link.closed).resolves.toBeUndefined()
  })

  it('refuses a token of another length', async () => {
    const guest = fake()
    const opened = openGuestLink(optionsFor(() => guest.connect(), { token: new Uint8Array(31) }))
    await expect(opened).rejects.toMatchObject({ code: 'invalid-argument' })
  })
})
