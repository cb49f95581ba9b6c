import { mkdtempSync, rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { chunks, command, gather, Host, run, script } from './conformance/harness.ts'
import { startAgent } from './testing/agent-process.ts'

/** What a workload can make that numbers and paths of the protocol cannot hold. None of it may end the session. */
describe('a session', () => {
  it('outlives files with sizes and times beyond all numbers', async () => {
    await using host = new Host(await startAgent(false))
    // Other file systems than tmpfs know no such files.
    using memory = temporary('/dev/shm/cove-test-')
    const link = await host.open()
    const made = await run(
      link,
      script(
        host.harness,
        `cd ${memory.path} && truncate -s 9223372036854775807 big && touch -d @9000000000000000 late`,
      ),
    )
    expect(made.exit?.exit).toEqual({ kind: 'exited', code: 0 })
    const as = { user: host.harness.owner }
    const listed = await gather(link.list(memory.path, as))
    expect(listed.map(({ name }) => name).toSorted()).toEqual(['big', 'late'])
    expect((await link.stat(`${memory.path}/big`, as)).size).toBe(Number.MAX_SAFE_INTEGER)
    expect((await link.stat(`${memory.path}/late`, as)).modifiedAt).toBe(Number.MAX_SAFE_INTEGER)
    expect(host.streams).toHaveLength(1)
  })

  it('outlives folders deeper than any path, listed', async () => {
    await using host = new Host(await startAgent(false))
    const link = await host.open()
    const as = { user: host.harness.owner }
    const made = await run(link, command(host.harness, deeper(host.harness.folder, 20)))
    expect(made.exit?.exit).toEqual({ kind: 'exited', code: 0 })
    const listed = await gather(link.list(host.harness.folder, { ...as, depth: 64 }))
    expect(listed.length).toBeGreaterThan(14)
    expect(Math.max(...listed.map(({ path }) => path.length))).toBeLessThanOrEqual(4095)
    expect(host.streams).toHaveLength(1)
  })

  it('outlives folders deeper than any path, watched', async () => {
    await using host = new Host(await startAgent(false))
    const link = await host.open()
    const { folder, owner } = host.harness
    const as = { user: owner }
    await run(link, command(host.harness, deeper(folder, 16)))
    const events = (await link.watch(folder, { ...as, recursive: true }))[Symbol.asyncIterator]()
    await run(link, command(host.harness, deeper(folder, 17)))
    await link.writeFile(`${folder}/near`, chunks('x'), as)
    expect(await events.next()).toMatchObject({ value: { type: 'overflow' } })
    expect(await events.next()).toMatchObject({ value: { type: 'created', path: 'near' } })
    await events.return?.()
    expect(host.streams).toHaveLength(1)
  })
})

/** A command that makes folders in folders, with names of nearly the longest kind. */
function deeper(folder: string, depth: number): string[] {
  return ['perl', '-e', `chdir '${folder}'; for (1..${depth}) { mkdir '${NAME}'; chdir '${NAME}' or die }`]
}

const NAME = 'n'.repeat(250)

function temporary(prefix: string): Disposable & { readonly path: string } {
  const path = mkdtempSync(prefix)
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
