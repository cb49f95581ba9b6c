import { readlinkSync } from 'node:fs'
import { CoveError } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import type { HostProcess } from '../src/index.ts'
import { eventually, isRoot, openBench, said, type Bench } from './support/bench.ts'

/** Where a process keeps a namespace for others. */
const FD = 200

async function codeOf(start: Promise<HostProcess>): Promise<string> {
  return start.then(
    () => 'started',
    (error: unknown) => CoveError.from(error).code,
  )
}

/** Keeps what `open` says, such as the namespace that it is in, and says when it does. */
async function keeper(bench: Bench, id: string, script: string): Promise<HostProcess> {
  const process = await bench.start(id, script, { argv: ['/bin/bash', '-c', script], stdio: 'held' })
  await eventually(async () => Buffer.from(await process.output('stdout')).includes('kept') || undefined)
  return process
}

const keep = (path: string): string => `exec ${FD}<${path}; echo kept; exec sleep 1000`

describe.runIf(isRoot)('the network of another host process', () => {
  it('is entered before anything else runs, and is not held open by what runs', async () => {
    await using bench = await openBench()
    const own = `exec unshare --net bash -c '${keep('/proc/self/ns/net')}'`
    const kept = await keeper(bench, 'keeper', own)
    const user = await bench.start('user', 'readlink /proc/self/ns/net; ls /proc/self/fd', {
      stdio: 'held',
      networkOf: 'keeper',
    })
    const [namespace, ...fds] = (await said(user)).trim().split('\n')
    expect(namespace).toBe(readlinkSync(`/proc/${kept.pid}/ns/net`))
    expect(namespace).not.toBe(readlinkSync('/proc/self/ns/net'))
    expect(fds.map(Number).filter((fd) => fd > 3)).toEqual([])
  })

  it.each([
    ['of nobody', undefined],
    ['that is the own one of the host', keep('/proc/self/ns/net')],
    ['that is no network', keep('/proc/self/ns/uts')],
    ['that is no namespace', keep('/etc/hostname')],
  ])('is refused when it is one %s, and nothing runs', async (_, script) => {
    await using bench = await openBench()
    if (script !== undefined) await keeper(bench, 'keeper', script)
    expect(await codeOf(bench.start('user', 'echo ran', { networkOf: 'keeper' }))).toBe('network-unavailable')
    expect(await bench.launcher.get('user')).toBe(undefined)
  })

  it('is refused when its keeper has ended, and by a name that is none', async () => {
    await using bench = await openBench()
    const kept = await keeper(bench, 'keeper', `exec unshare --net bash -c '${keep('/proc/self/ns/net')}'`)
    await kept.signal(9, 'leader')
    await kept.exited
    expect(await codeOf(bench.start('user', 'echo ran', { networkOf: 'keeper' }))).toBe('network-unavailable')
    expect(await codeOf(bench.start('user', 'echo ran', { networkOf: '../x' }))).toBe('invalid-argument')
  })
})
