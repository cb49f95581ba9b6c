/** The network of a machine as an ordinary user has it. Run as a program of its own, it prints what was answered. */
import { createBubblewrapDriver } from '../../src/bubblewrap/driver.ts'
import { Stage } from '../../src/conformance/stage.ts'
import { openHostRig } from './host-rig.ts'
import { reach, tcp } from './reach.ts'

export interface NetworkStory {
  readonly network: string
  readonly answers: readonly string[]
  /** Exit codes of attempts to change the rules. */
  readonly attempts: readonly (number | string)[]
  readonly left: readonly string[]
}

const addresses = (process.argv[2] ?? '').split(',').map((address) => tcp(address, Number(process.argv[3])))

const stage = new Stage(() =>
  openHostRig({
    prefix: 'bwrap-',
    agent: 'child',
    open: createBubblewrapDriver,
    traits: { users: ['user'], enforces: [], ownFiles: true, pausable: false, internet: true },
  }),
)
await stage.open()
const fingerprint = await stage.driver.fingerprint(AbortSignal.timeout(20_000))
const allow = (process.argv[4] ?? '').split(',').filter(Boolean)
const link = await stage.link(await stage.create({ network: { kind: 'internet', allow } }))
const answers = await reach(stage, link, addresses)
const attempts: (number | string)[] = []
for (const script of ['/usr/sbin/nft flush ruleset', 'ip link set tap0 down', 'unshare -Urn true']) {
  const { exit } = await stage.shell(link, `${script} >/dev/null 2>&1`)
  attempts.push(exit.kind === 'exited' ? exit.code : exit.kind)
}
const left = await stage.clear()
await stage.close()
const story: NetworkStory = {
  network: fingerprint.proven ? (fingerprint.details['network'] ?? '') : fingerprint.reason,
  answers,
  attempts,
  left,
}
process.stdout.write(JSON.stringify(story))
