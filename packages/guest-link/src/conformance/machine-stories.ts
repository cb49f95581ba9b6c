import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { FileEvent } from '@cove/domain'
import { chunks, command, gather, Host, readAll, run, type GuestHarness } from './harness.ts'

/** Watches, connections to servers inside, and the machine itself. */
export function machineStories(make: () => Promise<GuestHarness>): void {
  describe('a watch', () => {
    it('tells what happens in a directory, until it is left', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const { folder } = host.harness
      await link.writeFile(`${folder}/there`, chunks('x'), as)
      const events = await link.watch(folder, as)
      await link.makeDirectory(`${folder}/made`, as)
      await link.move(`${folder}/there`, `${folder}/moved`, as)
      await link.remove(`${folder}/moved`, as)
      const seen: FileEvent[] = []
      for await (const event of events) {
        seen.push(event)
        if (event.type === 'removed') break
      }
      expect(seen).toContainEqual({ type: 'created', path: 'made' })
      expect(seen).toContainEqual({ type: 'renamed', path: 'there', to: 'moved' })
      expect(seen.at(-1)).toEqual({ type: 'removed', path: 'moved' })
      expect((await link.stat(folder, as)).type).toBe('directory')
    })

    it('tells of directories below when that is asked for, also of new ones', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      const { folder } = host.harness
      await link.makeDirectory(`${folder}/deep`, as)
      const events = await link.watch(folder, { ...as, recursive: true })
      await link.makeDirectory(`${folder}/deep/new`, as)
      await link.makeDirectory(`${folder}/deep/new/end`, as)
      const seen: FileEvent[] = []
      for await (const event of events) {
        seen.push(event)
        if (event.type === 'created' && event.path === 'deep/new/end') break
      }
      expect(seen).toContainEqual({ type: 'created', path: 'deep/new' })
    })

    it('of nothing is refused, and one that is cancelled ends', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const as = { user: host.harness.owner }
      await expect(link.watch(`${host.harness.folder}/none`, as)).rejects.toMatchObject({ code: 'file-not-found' })
      const caller = new AbortController()
      const events = await link.watch(host.harness.folder, as, caller.signal)
      const reading = gather(events)
      reading.catch(() => {})
      caller.abort()
      await expect(reading).rejects.toMatchObject({ code: 'cancelled' })
    })
  })

  describe('a connection into the guest', () => {
    it('carries bytes both ways and ends from both sides, over TCP and unix sockets', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { port, unixPath } = await host.harness.echoServers()
      const content = Buffer.alloc(3_000_001, 'there and back ')
      for (const target of [{ kind: 'tcp', port } as const, { kind: 'unix', path: unixPath } as const]) {
        const stream = await link.dial(target)
        const reading = readAll(stream)
        stream.end(content)
        expect((await reading).equals(content)).toBe(true)
        if (!stream.closed) await once(stream, 'close')
      }
    })

    it('is refused where nobody listens', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { deadPort } = await host.harness.echoServers()
      await expect(link.dial({ kind: 'tcp', port: deadPort })).rejects.toMatchObject({ code: 'connection-refused' })
      await expect(link.dial({ kind: 'tcp', port: 0 })).rejects.toMatchObject({ code: 'invalid-argument' })
      await expect(link.dial({ kind: 'tcp', port: 70_000 })).rejects.toMatchObject({ code: 'invalid-argument' })
    })

    it('that is not read holds up nobody else', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { port } = await host.harness.echoServers()
      const stuck = await link.dial({ kind: 'tcp', port })
      stuck.on('error', () => {})
      stuck.write(Buffer.alloc(16 * 1024 * 1024))
      const quick = await link.dial({ kind: 'tcp', port })
      quick.end('quick')
      expect((await readAll(quick)).toString()).toBe('quick')
      stuck.destroy()
      expect((await run(link, command(host.harness, ['true']))).exit?.exit).toEqual({ kind: 'exited', code: 0 })
    })

    it('ends with the signal of its caller', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const { port } = await host.harness.echoServers()
      const caller = new AbortController()
      const stream = await link.dial({ kind: 'tcp', port }, caller.signal)
      const failed = once(stream, 'error')
      caller.abort()
      expect(await failed).toMatchObject([{ code: 'cancelled' }])
      expect(stream.destroyed).toBe(true)
    })
  })

  describe('the machine', () => {
    it('says how it is', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const metrics = await link.metrics()
      expect(metrics.agentVersion).toBe(link.agentVersion)
      expect(metrics.memoryTotalBytes).toBeGreaterThan(0)
      expect(metrics.memoryUsedBytes).toBeLessThanOrEqual(metrics.memoryTotalBytes)
      expect(metrics.diskUsedBytes).toBeLessThanOrEqual(metrics.diskTotalBytes)
      expect(metrics.loadAverage1).toBeGreaterThanOrEqual(0)
      expect(Math.abs(metrics.at - Date.now())).toBeLessThan(60_000)
    })

    it('ends when it is asked to, also with a process that ignores TERM', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const process = { ...command(host.harness, ['/bin/sh', '-c', "trap '' TERM; echo ready; sleep 60; sleep 60"]) }
      const { events } = await link.start(process)
      await events[Symbol.asyncIterator]().next()
      await link.shutdown(100)
      await host.harness.exited
      await expect(link.metrics()).rejects.toMatchObject({ code: 'guest-unreachable' })
    })
  })

  describe('a call', () => {
    it('that is cancelled before it begins is not made', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const gone = AbortSignal.abort()
      await expect(link.metrics(gone)).rejects.toMatchObject({ code: 'cancelled' })
      await expect(link.start(command(host.harness, ['true']), gone)).rejects.toMatchObject({ code: 'cancelled' })
      await expect(gather(link.list('/', {}, gone))).rejects.toMatchObject({ code: 'cancelled' })
      expect(await link.processes()).toEqual([])
    })

    it('that runs out of time says so', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      const signal = AbortSignal.timeout(50)
      const ran = async () => gather((await link.start(command(host.harness, ['sleep', '60']), signal)).events)
      await expect(ran()).rejects.toMatchObject({ code: 'deadline-exceeded' })
    })

    it('after close is refused', async () => {
      await using host = new Host(await make())
      const link = await host.open()
      await link.close()
      await link.close()
      await expect(link.closed).resolves.toBeUndefined()
      await expect(link.metrics()).rejects.toMatchObject({ code: 'guest-unreachable' })
    })
  })
}
