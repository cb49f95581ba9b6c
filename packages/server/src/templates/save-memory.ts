import {
  CoveError,
  parseSandboxId,
  parseSnapshotId,
  satisfies,
  type Clock,
  type DriverReport,
  type ImageInfo,
  type Limits,
  type NodeClient,
  type SandboxId,
  type SandboxSpec,
  type SnapshotId,
} from '@cove/domain'
import type { BuildRecord, MemoryRecord, MemoryWish } from './template-record.ts'

export interface SaveMemory {
  readonly node: NodeClient
  readonly clock: Clock
  readonly record: BuildRecord
  readonly image: ImageInfo
  readonly wish: MemoryWish
  /** Where the template names none. */
  readonly limits: Limits
  readonly signal: AbortSignal
}

/** The build's own, so that a second try after a crash finds what the first one has left. */
export const memoryIdOf = ({ id }: Pick<BuildRecord, 'id'>): SnapshotId => parseSnapshotId(id)
const machineIdOf = ({ id }: BuildRecord): SandboxId => parseSandboxId(id)

/** Starts a machine of what was built, waits until its start command is ready, saves it, and takes it away again. */
export async function saveMemory(request: SaveMemory): Promise<MemoryRecord> {
  const { node, clock, record, image, wish, signal } = request
  const snapshot = memoryIdOf(record)
  const id = machineIdOf(record)
  const driver = wish.driver ?? chooseSaver(await node.drivers(signal))
  const limits = { ...request.limits, ...record.limits }
  const spec: SandboxSpec = {
    id,
    project: record.project,
    template: record.name,
    from: { kind: 'image', image: image.id },
    volumes: [],
    driver,
    limits,
    network: wish.network,
    env: {},
    ...(record.start === undefined ? {} : { start: record.start }),
    labels: {},
    idleTimeout: 'never',
    lifetime: 'never',
    createdAt: clock.now(),
  }
  await Promise.all([node.destroy(id), node.snapshots.remove(snapshot)])
  try {
    await node.create({ spec, incarnation: 1 }, signal)
    const { bytes } = await node.snapshot(id, 1, { id: snapshot, kind: 'memory' }, signal)
    return { snapshot, driver, limits, network: wish.network, bytes, createdAt: clock.now() }
  } finally {
    await node.destroy(id)
  }
}

/** The one that sandboxes get anyway, where it can; else one at native speed before one that emulates, the weakest wall first. */
function chooseSaver(reports: readonly DriverReport[]): string {
  const able = reports.filter(({ savesMemory, fingerprint }) => savesMemory === true && fingerprint.proven)
  const native = able.filter(({ fingerprint }) => fingerprint.proven && fingerprint.native)
  const weakestFirst = (native.length === 0 ? able : native).toSorted((one, other) =>
    satisfies(one.isolation, other.isolation) ? 1 : -1,
  )
  const chosen = able.find((report) => report.chosen) ?? weakestFirst[0]
  if (chosen !== undefined) return chosen.name
  throw new CoveError(
    'unsupported',
    'no driver here saves the memory of machines',
    {},
    { fix: 'Build it without its memory, or add the driver gvisor or qemu (`cove doctor` tells what they need).' },
  )
}
