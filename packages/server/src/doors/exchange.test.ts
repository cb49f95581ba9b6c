import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { clientSignal } from './exchange.ts'

const response = (): ServerResponse => new ServerResponse(new IncomingMessage(new Socket()))

test('the signal of a client aborts when it goes away, also when it had gone before anybody asked', () => {
  const going = response()
  const signal = clientSignal(going)
  expect(signal.aborted).toBe(false)
  going.destroy()
  going.emit('close')
  expect(signal.reason).toMatchObject({ code: 'cancelled' })
  expect(clientSignal(going).reason).toMatchObject({ code: 'cancelled' })
})

test('it aborts with the key, and holds on to no key whose client has gone', () => {
  const key = new AbortController()
  const signal = clientSignal(response(), key.signal)
  const gone = response()
  gone.destroy()
  const left = clientSignal(gone, key.signal)
  key.abort(new Error('revoked'))
  expect(signal.reason).toMatchObject({ message: 'revoked' })
  expect(left.reason).toMatchObject({ code: 'cancelled' })
  expect(clientSignal(response(), key.signal).reason).toMatchObject({ message: 'revoked' })
})
