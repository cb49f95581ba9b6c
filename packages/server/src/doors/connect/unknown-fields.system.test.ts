import { expect, test } from 'vitest'
import { ask, call } from '../../../test/support/clients.ts'
import { openHouse } from '../../../test/support/harness.ts'

test('a misspelt field is refused by its name, whichever way the call goes, and nothing is made', async () => {
  await using house = await openHouse()
  const base = await house.listen()
  const wrong = { name: 'box', limit: { memoryBytes: '1' } }
  const short = await call(base, 'SandboxService/CreateSandbox', wrong)
  expect(short.status).toBe(400)
  expect(short.json['message']).toContain('"limit"')
  // With a deadline the call goes through the library.
  const long = await call(base, 'SandboxService/CreateSandbox', wrong, { headers: { 'connect-timeout-ms': '5000' } })
  expect(long.status).toBe(400)
  expect(house.node.machines.size).toBe(0)

  await call(base, 'SandboxService/CreateSandbox', { name: 'box' })
  const body = JSON.stringify({ sandbox: 'box', comand: { argv: ['true'] } })
  const headers = { 'content-type': 'application/json' }
  const stream = await ask(`${base}/v1/sandboxes/box/processes`, { method: 'POST', headers, body })
  expect(stream.status).toBe(400)
  expect(stream.json['message']).toContain('"comand"')
})
