import type * as Domain from '@cove/domain'
import { CoveError } from '@cove/domain'
import { FieldsWriter } from '@cove/frames'
import { describe, expect, it, vi } from 'vitest'
import { Channel, type ChannelHost } from './channel.ts'

const made = vi.hoisted(() => ({ count: 0 }))
vi.mock('@cove/domain', async (importOriginal) => {
  const domain = await importOriginal<typeof Domain>()
  class CountedError extends domain.CoveError {
    constructor(...parameters: ConstructorParameters<typeof domain.CoveError>) {
      super(...parameters)
      made.count += 1
    }
  }
  return { ...domain, CoveError: CountedError }
})

const options = {
  number: 1,
  window: 65_536,
  maxEvents: 4,
  maxEventBytes: 1024,
  onFlood: 'violation',
  signal: undefined,
} as const

const host: ChannelHost = {
  maxPayload: 1024,
  send: () => {},
  sendData: () => {},
  congested: () => false,
  violation: (message) => new CoveError('guest-protocol', message),
  forget: () => {},
}

describe('a channel that ends well', () => {
  it('makes no error that nobody asks for', async () => {
    made.count = 0
    const channel = new Channel(host, options)
    channel.onOpened(Buffer.from(new FieldsWriter().finish()))
    channel.onClose(undefined)
    await channel.opened
    expect(await channel.next()).toBeUndefined()
    expect(made.count).toBe(0)
    await expect(channel.send(0, Buffer.from('x'))).rejects.toMatchObject({ code: 'wrong-state' })
    expect(made.count).toBe(1)
  })

  it('was closed before its answer: the answer fails', async () => {
    const channel = new Channel(host, options)
    channel.close()
    await expect(channel.opened).rejects.toMatchObject({ code: 'cancelled' })
  })
})
