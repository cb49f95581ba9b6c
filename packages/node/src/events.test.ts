import { describe, expect, it } from 'vitest'
import { newSandboxId, type NodeEvent } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { Events } from './events.ts'

const event: NodeEvent = { type: 'ended', id: newSandboxId(systemRandom), incarnation: 1, exit: { kind: 'lost' } }

async function read(events: AsyncIterable<NodeEvent>, into: NodeEvent[]): Promise<void> {
  for await (const one of events) into.push(one)
}

describe('events of a node', () => {
  it('reach everybody who watches from that moment on, and nobody shares them', async () => {
    const events = new Events()
    events.emit(event)
    const stop = new AbortController()
    const heard: NodeEvent[][] = [[], []]
    const reading = heard.map((into) => read(events.watch(stop.signal), into))
    events.emit(event)
    events.emit({ ...event, incarnation: 2 })
    await new Promise(setImmediate)
    stop.abort()
    await Promise.all(reading)
    expect(heard).toEqual([
      [event, { ...event, incarnation: 2 }],
      [event, { ...event, incarnation: 2 }],
    ])
    expect(heard[0]?.[0]).not.toBe(heard[1]?.[0])
  })

  it('tell a reader that has fallen too far behind, after what it can still be told', async () => {
    const events = new Events()
    const stop = new AbortController()
    const watch = events.watch(stop.signal)
    for (let i = 0; i < 4_097; i++) events.emit(event)
    const heard: NodeEvent[] = []
    await expect(read(watch, heard)).rejects.toMatchObject({ code: 'limit-reached' })
    expect(heard).toHaveLength(4_096)
  })

  it('are told to at most 64, and a place is free again when one leaves', async () => {
    const events = new Events()
    const stops = Array.from({ length: 64 }, () => new AbortController())
    for (const { signal } of stops) events.watch(signal)
    const last = new AbortController()
    expect(() => events.watch(last.signal)).toThrow('64 watchers')
    stops[7]?.abort()
    const heard: NodeEvent[] = []
    const reading = read(events.watch(last.signal), heard)
    events.emit(event)
    await new Promise(setImmediate)
    last.abort()
    await reading
    expect(heard).toEqual([event])
    for (const stop of stops) stop.abort()
  })

  it('end at once for a signal that has aborted before', async () => {
    const heard: NodeEvent[] = []
    await read(new Events().watch(AbortSignal.abort()), heard)
    expect(heard).toEqual([])
  })
})
