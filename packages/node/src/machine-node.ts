import {
  CoveError,
  type DriverReport,
  type Exit,
  type Guest,
  type LimitReport,
  type Limits,
  type MachineStats,
  type NodeBuilds,
  type NodeCreate,
  type NodeEvent,
  type NodeImages,
  type NodePools,
  type NodeSandbox,
  type NodeSnapshot,
  type NodeSnapshots,
  type NodeVolumes,
  type PausedTo,
  type SandboxId,
  type SandboxSpec,
  type SavedSnapshot,
} from '@cove/domain'
import type { CoveNode } from './cove-node.ts'
import { createMachine } from './create-machine.ts'
import { destroySandbox, recordOf, sessionOf, stopMachine } from './end-machine.ts'
import type { GuestSession } from './guest-session.ts'
import { nodeImages } from './images/node-images.ts'
import type { NodeParts } from './node-parts.ts'
import { pauseMachine, resizeMachine, resumeMachine } from './power-machine.ts'
import { SharedCreate } from './shared-create.ts'
import type { Slot } from './slot.ts'
import { slotFor } from './slots.ts'
import { takeSnapshot } from './snapshots/take-snapshot.ts'
import { anySignal } from './wait.ts'

/** Milliseconds that closing waits for creates and stops that are under way. */
const CLOSE_MS = 10_000

/** The port of one node over its parts: who asks twice gets one answer, and nobody waits for another sandbox. */
export class MachineNode implements CoveNode {
  readonly name: string
  readonly snapshots: NodeSnapshots
  readonly images: NodeImages
  readonly builds: NodeBuilds
  readonly volumes: NodeVolumes
  readonly pools: NodePools
  readonly #parts: NodeParts
  readonly #stop: AbortController
  readonly #fresh: Promise<void>
  #closing: Promise<void> | undefined

  constructor(
    name: string,
    parts: NodeParts,
    builds: NodeBuilds,
    stop: AbortController,
    fresh: Promise<void>,
    signal: AbortSignal | undefined,
  ) {
    this.name = name
    this.#parts = parts
    this.snapshots = parts.snapshots
    this.images = nodeImages(parts.images)
    this.builds = builds
    this.volumes = parts.volumes
    this.pools = parts.pools
    this.#stop = stop
    this.#fresh = fresh
    const end = (): void => void this.close()
    if (signal?.aborted === true) end()
    else signal?.addEventListener('abort', end, { once: true, signal: stop.signal })
  }

  async ready(signal?: AbortSignal): Promise<void> {
    if ((await this.#parts.proofs.default(signal)) !== undefined) return
    const reports = await this.#parts.proofs.reports(signal)
    const tried = reports.map(({ name, fingerprint }) =>
      fingerprint.proven ? `${name}: not at native speed` : `${name}: ${fingerprint.reason}`,
    )
    const reasons = tried.length === 0 ? 'it has no drivers' : tried.join('; ')
    throw new CoveError('isolation-unavailable', `this node has no default driver: ${reasons}`, { tried: reasons })
  }

  async drivers(signal?: AbortSignal): Promise<readonly DriverReport[]> {
    return await this.#parts.proofs.reports(signal)
  }

  async provenSoFar(): Promise<readonly DriverReport[]> {
    return await this.#parts.proofs.known()
  }

  async diagnose(signal: AbortSignal): Promise<readonly DriverReport[]> {
    await this.#parts.proofs.renew(signal)
    return await this.#parts.proofs.reports(signal)
  }

  async create(request: NodeCreate, signal?: AbortSignal): Promise<NodeSandbox> {
    this.#assertOpen()
    const { incarnation } = request
    if (!Number.isSafeInteger(incarnation) || incarnation < 1) {
      throw new CoveError('invalid-argument', 'an incarnation is a whole number from 1', { field: 'incarnation' })
    }
    const slot = slotFor(this.#parts, request.spec.id)
    const shared = slot.creates.get(incarnation)
    if (shared !== undefined && !shared.givenUp) return await shared.wait(request.progress, signal)
    const spec = structuredClone(request.spec)
    const create: SharedCreate = new SharedCreate((giveUp, progress) =>
      slot.run(async () => {
        try {
          return await createMachine(this.#parts, slot, { spec, incarnation, progress }, giveUp)
        } finally {
          if (slot.creates.get(incarnation) === create) slot.creates.delete(incarnation)
        }
      }),
    )
    slot.creates.set(incarnation, create)
    return await create.wait(request.progress, signal)
  }

  async stop(id: SandboxId, incarnation: number, graceMs: number): Promise<Exit> {
    this.#assertOpen()
    const slot = this.#slot(id)
    const hurry = slot.interrupted
    return await slot.run(() => stopMachine(this.#parts, slot, incarnation, graceMs, hurry))
  }

  async destroy(id: SandboxId): Promise<void> {
    this.#assertOpen()
    const slot = this.#parts.slots.get(id)
    if (slot === undefined) return
    slot.interrupt()
    slot.abortCreates(new CoveError('wrong-state', `sandbox ${id} is being deleted`, { state: 'deleting' }))
    await slot.run(() => destroySandbox(this.#parts, slot))
  }

  async list(): Promise<readonly NodeSandbox[]> {
    const sandboxes: NodeSandbox[] = []
    for (const slot of this.#parts.slots.values()) {
      const sandbox = slot.describe()
      if (sandbox !== undefined) sandboxes.push(sandbox)
    }
    return sandboxes
  }

  watch(signal: AbortSignal): AsyncIterable<NodeEvent> {
    return this.#parts.events.watch(anySignal(signal, this.#stop.signal))
  }

  async guest(id: SandboxId, incarnation: number): Promise<Guest> {
    return (await this.#session(id, incarnation)).guest
  }

  async stats(id: SandboxId, incarnation: number): Promise<MachineStats> {
    const { machine } = await this.#session(id, incarnation)
    return { ...(await machine.stats()) }
  }

  async pause(id: SandboxId, incarnation: number, to: PausedTo = 'memory'): Promise<void> {
    this.#assertOpen()
    const slot = this.#slot(id)
    const ended = anySignal(slot.interrupted, this.#stop.signal)
    await slot.run(() => pauseMachine(this.#parts, slot, incarnation, to, ended))
  }

  async resume(id: SandboxId, incarnation: number, spec: SandboxSpec): Promise<void> {
    this.#assertOpen()
    const slot = this.#slot(id)
    const ended = anySignal(slot.interrupted, this.#stop.signal)
    await slot.run(() => resumeMachine(this.#parts, slot, incarnation, spec, ended))
  }

  async resize(id: SandboxId, incarnation: number, limits: Limits): Promise<readonly LimitReport[]> {
    this.#assertOpen()
    const slot = this.#slot(id)
    return await slot.run(() => resizeMachine(this.#parts, slot, incarnation, limits))
  }

  async snapshot(
    id: SandboxId,
    incarnation: number,
    request: NodeSnapshot,
    signal: AbortSignal,
  ): Promise<SavedSnapshot> {
    this.#assertOpen()
    const slot = this.#slot(id)
    // Whoever wants to delete the sandbox does not wait for its snapshot.
    const ended = anySignal(signal, slot.interrupted, this.#stop.signal)
    return await slot.run(() => takeSnapshot(this.#parts, slot, incarnation, request, ended))
  }

  async settled(): Promise<void> {
    await this.#parts.background.settled()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    const { slots, background, clock } = this.#parts
    const reason = new CoveError('cancelled', 'the node is closing')
    this.#stop.abort(reason)
    await this.#parts.pools.close()
    for (const slot of slots.values()) slot.abortCreates(reason)
    const late = new AbortController()
    const orderly = Promise.all([...[...slots.values()].map((slot) => slot.idle()), background.settled(), this.#fresh])
    await Promise.race([orderly, clock.sleep(CLOSE_MS, late.signal).catch(() => {})])
    late.abort()
    await Promise.all([...slots.values()].map(async ({ session }) => await session?.close(reason)))
  }

  async #session(id: SandboxId, incarnation: number): Promise<GuestSession> {
    this.#assertOpen()
    const slot = this.#slot(id)
    const record = recordOf(slot, incarnation)
    // While a driver is still being asked what it runs, its machines can be waited for.
    if (slot.session === undefined && record.state === 'running') await this.#parts.recoveries.wait(record.driver)
    return sessionOf(slot, recordOf(slot, incarnation))
  }

  #slot(id: SandboxId): Slot {
    const slot = this.#parts.slots.get(id)
    if (slot === undefined) {
      throw new CoveError('sandbox-not-found', `this node has no sandbox ${id}`, { id })
    }
    return slot
  }

  #assertOpen(): void {
    if (this.#stop.signal.aborted) throw new CoveError('cancelled', 'the node is closing')
  }
}
