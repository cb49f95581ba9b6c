import { CoveError, type Sandbox, type SandboxId } from '@cove/domain'
import { expect, it } from 'vitest'
import { StubGuest } from '../../../test/support/stub-guest.ts'
import type { Site } from './installer.ts'
import { planShell } from './shell.ts'

const ID = 'abcdefghijklmnop' as SandboxId

function siteOf(template: string, script: Site['script']): Site {
  const sandbox: Sandbox = {
    spec: {
      id: ID,
      project: 'default',
      template,
      from: { kind: 'host' },
      volumes: [],
      limits: {},
      network: { kind: 'none' },
      env: {},
      labels: {},
      idleTimeout: 'never',
      lifetime: 'never',
      createdAt: 0,
    },
    status: { state: 'running', incarnation: 1, changedAt: 0, limits: [] },
  }
  const lease = { guest: new StubGuest(), sandbox, [Symbol.dispose]: () => {} }
  return {
    lease,
    ground: { folder: '/home/user/.cove', path: '/bin', home: '/home/user' },
    interpreter: undefined,
    script,
  }
}

it.each([
  ['apk', ['apk', 'add', '--no-cache', '--', 'jq', 'g++']],
  ['dnf', ['dnf', 'install', '--assumeyes', '--', 'jq', 'g++']],
  ['yum', ['yum', 'install', '--assumeyes', '--', 'jq', 'g++']],
  ['zypper', ['zypper', '--non-interactive', 'install', '--', 'jq', 'g++']],
])('%s installs as root', async (manager, argv) => {
  const users: unknown[] = []
  const site = siteOf('alpine', async (_text, _args, user) => {
    users.push(user)
    return { stdout: manager, complaint: '' }
  })
  expect(await planShell(site, ['jq', 'g++'])).toMatchObject({ argv, user: 'root' })
  expect(users).toEqual(['root'])
})

it('apt reads its lists first, and no name is part of the script', async () => {
  const { argv, env } = await planShell(
    siteOf('debian', async () => ({ stdout: 'apt', complaint: '' })),
    ['jq', 'g++'],
  )
  expect(argv.slice(-2)).toEqual(['jq', 'g++'])
  expect(argv[2]).toMatch(/^apt-get update && .*"\$@"$/)
  expect(env).toEqual({ DEBIAN_FRONTEND: 'noninteractive' })
})

it.each([
  ['host', async () => ({ stdout: 'apt', complaint: '' }), /the host's own programs/],
  ['debian', async () => ({ stdout: 'not-root', complaint: '' }), /its only user is not root/],
  ['scratch', async () => ({ stdout: '', complaint: '' }), /no package manager/],
  ['debian', () => Promise.reject(new CoveError('user-not-found', 'there is no user root')), /has no user root/],
])('refuses where nothing can be installed: %s', async (template, script, reason) => {
  await expect(planShell(siteOf(template, script), ['jq'])).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(reason),
  })
})
