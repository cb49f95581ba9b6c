import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { askHelper } from './credential-helper.ts'

describe('a credential helper', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const ask = (script: string) => {
    writeFileSync(join(folder, 'docker-credential-x'), `#!/bin/sh\n${script}\n`)
    chmodSync(join(folder, 'docker-credential-x'), 0o755)
    return askHelper('x', 'r.io', [folder])
  }

  test('is asked as Docker asks', async () => {
    const answer = `{"ServerURL":"r.io","Username":"u","Secret":"s"}`
    expect(await ask(`[ "$1" = get ] && [ "$(cat)" = r.io ] && echo '${answer}'`)).toEqual({
      kind: 'basic',
      username: 'u',
      password: 's',
    })
    expect(await ask(`cat >/dev/null; echo '{"Username":"<token>","Secret":"s"}'`)).toEqual({
      kind: 'identity-token',
      token: 's',
    })
    expect(await ask(`echo 'credentials not found in native keychain'; exit 1`)).toBeUndefined()
  })

  test.each([
    ['fails', 'exit 3', /has ended with 3/],
    ['says nonsense', `echo 'hunter2 {'`, /something else/],
    ['says too little', `echo '{"Username":"u"}'`, /something else/],
    ['talks without end', `while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done`, /says too much/],
  ])('that %s is an error without what it said', async (_what, script, message) => {
    await expect(ask(script)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringMatching(message) as string,
    })
    await expect(ask(script)).rejects.not.toThrow(/hunter2|xxxx/)
  })

  test('that does not answer is ended, with what it has started', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const pid = join(folder, 'pid')
      const asked = ask(`sleep 1000 & echo $! >${pid}; mv ${pid} ${pid}.done; wait`)
      asked.catch(() => undefined)
      await vi.waitFor(() => readFileSync(`${pid}.done`, 'utf8'), { timeout: 10_000 })
      await vi.advanceTimersByTimeAsync(10_000)
      await expect(asked).rejects.toThrow(/does not answer/)
      const child = Number(readFileSync(`${pid}.done`, 'utf8'))
      await vi.waitFor(() => expect(() => process.kill(child, 0)).toThrow(/ESRCH/), { timeout: 10_000 })
    } finally {
      vi.useRealTimers()
    }
  })
})
