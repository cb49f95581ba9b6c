import { chown, copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { GUEST_PROGRAM, hasInternet, isRoot } from './support/host-rig.ts'
import { LOOPBACK_PORT, openNetworkWorld, PORT, WORLD } from './support/network-world.ts'
import type { NetworkStory } from './support/ordinary-user-network.ts'

const STORY = fileURLToPath(new URL('support/ordinary-user-network.ts', import.meta.url))
const USER = 61_235

it.runIf(isRoot && hasInternet)('gives an ordinary user the same network', { timeout: 60_000 }, async (context) => {
  await using world = await openNetworkWorld()
  const home = await mkdtemp(join(tmpdir(), 'cove-test-'))
  try {
    await chown(home, USER, USER)
    const guest = join(home, 'guest')
    await copyFile(GUEST_PROGRAM, guest)
    const as = ['setpriv', '--reuid', `${USER}`, '--regid', `${USER}`, '--clear-groups']
    const readable = await world.onHost([...as, process.execPath, '--check', STORY]).then(
      () => true,
      () => false,
    )
    if (!readable) context.skip('other users cannot read this checkout')
    const env = ['env', `TMPDIR=${home}`, `HOME=${home}`, `COVE_TEST_GUEST=${guest}`]
    const denied = [WORLD.host4, WORLD.lan4, WORLD.lan6, '169.254.169.254', '198.19.255.2', '64:ff9b::a63:1']
    const addresses = [WORLD.public4, WORLD.public6, '10.99.0.1', ...denied].join(',')
    const allow = `10.99.0.0/16:${PORT},host:${LOOPBACK_PORT}`
    const told = await world.onHost([...as, ...env, process.execPath, STORY, addresses, `${PORT}`, allow])
    const story = JSON.parse(told) as NetworkStory
    expect(story.network).toMatch(/^internet \(slirp4netns .*nftables/)
    expect(story.answers).toEqual([
      `internet ${WORLD.public4}`,
      `internet ${WORLD.public6}`,
      'internet 10.99.0.1',
      ...denied.map(() => 'closed'),
    ])
    expect(story.attempts).not.toContain(0)
    expect(story.left).toEqual([])
  } finally {
    await rm(home, { recursive: true, force: true })
  }
})
