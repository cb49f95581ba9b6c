import type { Log, LogFields } from '@cove/domain'
import { expect, test } from 'vitest'
import { ask, call } from '../../test/support/clients.ts'
import { KEY, openHouse } from '../../test/support/harness.ts'

function recordingLog(lines: string[], fixed: LogFields = {}): Log {
  const write = (message: string, fields: LogFields = {}): void => {
    lines.push(JSON.stringify({ message, ...fixed, ...fields }))
  }
  return {
    debug: write,
    info: write,
    warn: write,
    error: write,
    child: (fields) => recordingLog(lines, { ...fixed, ...fields }),
  }
}

test('the log has every request with its id, and no secret', async () => {
  const lines: string[] = []
  await using house = await openHouse({ log: recordingLog(lines) })
  const base = await house.listen()
  const headers = { 'x-request-id': 'find-me' }
  const env = { TOKEN: 'secret-in-env' }
  await call(base, 'SandboxService/CreateSandbox', { name: 'box', env }, { headers })
  const command = { argv: ['echo', 'secret-in-argv'], env }
  await call(base, 'ProcessService/RunProcess', { sandbox: 'box', command })
  await call(base, 'ProcessService/RunProcess', { sandbox: 'nope', command })
  await ask(`${base}/v1/sandboxes/box/files?path=/missing`, { headers: { 'x-request-id': 'a-file' } })
  await ask(`${base}/metrics`, { key: 'secret-key' })
  house.node.onCreate = () => Promise.reject(new Error('the driver fell over'))
  const failed = await call(base, 'SandboxService/CreateSandbox', { env })
  expect(failed.json).toMatchObject({ code: 'internal', details: [{ debug: { code: 'driver-failed' } }] })
  house.node.guest = () => Promise.reject(new TypeError('a bug'))
  await call(base, 'ProcessService/RunProcess', { sandbox: 'box', command }, { headers: { 'x-request-id': 'the-bug' } })
  await expect.poll(() => lines.filter((line) => line.includes('"message":"request"')).length).toBe(7)

  const log = lines.join('\n')
  expect(log).toMatch(/"message":"request","requestId":"find-me","method":"POST".*"status":200/)
  expect(log).toMatch(/"requestId":"a-file".*"status":404/)
  expect(log).toMatch(/"message":"a call failed".*"requestId":"the-bug".*TypeError: a bug/)
  expect(log).toMatch(/"message":"a call failed".*Error: the driver fell over/)
  expect(log).not.toContain('secret')
  expect(log).not.toContain(KEY)
})
