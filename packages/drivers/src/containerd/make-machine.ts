import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError, type CreateContext, type ImageId, type MachineId, type MachineSpec } from '@cove/domain'
import type { Mount } from '@cove/containerd-engine'
import { diskReport, withProblems } from '../cgroups/limit-support.ts'
import type { CgroupPlan } from '../cgroups/plan.ts'
import type { MachineNote } from '../host/machine-note.ts'
import { makeCgroups } from './cgroup-tree.ts'
import { liveProcess, type LiveProcess } from '../host/live-process.ts'
import { containerOf, diskLabels, diskOf, DRIVER, machineLabels, scratchOf } from './machine-record.ts'
import type { Prepared } from './prepare.ts'
import { runtimeSpec } from './runtime-spec.ts'

export const RUNTIME = 'io.containerd.runc.v2'

/** In a machine's folder: what it is shown. */
const ETC = 'etc'

export interface MakeRequest {
  readonly id: MachineId
  readonly spec: MachineSpec
  readonly cgroups: CgroupPlan
  readonly installation: string
  /** It has a disk that was there before. */
  readonly knownDisk: boolean
  readonly context: CreateContext
  /** Called before anything of it can run. */
  readonly begin: () => void
  /** Called when the task is there and has not started. */
  readonly watch: () => void
}

/**
 * Makes and starts a machine. The container is recorded before anything else that containerd makes: it is what the next
 * daemon finds, whatever happens after, and it keeps the snapshot. Calls to containerd are never cut short, so that what they have
 * done is known; between them it is asked whether anybody still waits.
 */
export async function makeMachine(
  prepared: Prepared,
  request: MakeRequest,
): Promise<{ readonly note: MachineNote; readonly process: LiveProcess }> {
  const { id, spec, cgroups, context } = request
  const { containerd } = prepared
  const proceed = () => {
    if (context.signal.aborted) throw CoveError.from(context.signal.reason, 'cancelled')
  }
  using image = await imageOf(prepared, request)
  proceed()
  context.progress('starting the machine')
  const folder = join(prepared.folders.machines, id)
  const etc = etcOf(spec)
  // What the container's record names must be there before it, and the folder tells of the rest until there is one.
  await mkdir(folder, { mode: 0o700 })
  const [problems] = await both(makeCgroups(cgroups), writeEtc(folder, etc))
  const limits = withProblems([...cgroups.reports, ...diskReport(spec, false, prepared.missing.diskBytes)], problems)
  const note: MachineNote = {
    driver: DRIVER,
    machine: id,
    limits,
    ...(spec.disk === undefined ? {} : { disk: spec.disk }),
  }
  const snapshotKey = spec.disk === undefined ? scratchOf(id) : diskOf(spec.disk)
  await containerd.containers.create({
    id: containerOf(id),
    labels: machineLabels(request.installation, note),
    image: image.id ?? '',
    snapshotter: containerd.snapshots.snapshotter,
    snapshotKey,
    runtime: RUNTIME,
    runtimeProgram: prepared.runtime,
    oci: runtimeSpec({
      id,
      spec,
      guestProgram: prepared.guestProgram,
      etcFolder: join(folder, ETC),
      etc: Object.keys(etc),
      cgroups,
      cgroupsPath: prepared.places.pathOf(cgroups),
      seccomp: prepared.seccomp,
    }),
  })
  proceed()
  const rootfs = await rootOf(prepared, request, snapshotKey, image)
  proceed()
  request.begin()
  await containerd.tasks.create(containerOf(id), { rootfs, runtimeProgram: prepared.runtime })
  proceed()
  request.watch()
  const process = await liveProcess(await containerd.tasks.start(containerOf(id)))
  proceed()
  if (process === undefined) throw new CoveError('driver-failed', `machine ${id} ended as soon as it was started`)
  return { note, process }
}

interface Base extends Disposable {
  readonly id?: ImageId
  readonly chain: string
}

/** What the machine's snapshot is built on; a disk that is there has been built on something already. */
async function imageOf(prepared: Prepared, { spec, knownDisk, context }: MakeRequest): Promise<Base> {
  const { from } = spec
  const image = from.kind === 'layers' ? from.image : undefined
  if (knownDisk || image === undefined) {
    return { chain: '', ...(image === undefined ? {} : { id: image }), [Symbol.dispose]: () => undefined }
  }
  const hold = await prepared.images.hold(image, context)
  return { id: image, chain: hold.chain, [Symbol.dispose]: () => hold[Symbol.dispose]() }
}

function rootOf(
  { containerd }: Prepared,
  { spec, knownDisk, installation }: MakeRequest,
  key: string,
  { id, chain }: Base,
): Promise<readonly Mount[]> {
  if (knownDisk) return containerd.snapshots.mounts(key)
  return containerd.snapshots.prepare(
    key,
    chain,
    spec.disk === undefined ? {} : diskLabels(installation, spec.disk, id),
  )
}

/** Fails when both have ended, so that what is removed then is not made again. */
async function both<A, B>(one: Promise<A>, other: Promise<B>): Promise<readonly [A, B]> {
  await Promise.allSettled([one, other])
  return [await one, await other]
}

async function writeEtc(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(join(folder, ETC), { mode: 0o755 })
  await Promise.all(
    Object.entries(files).map(([name, text]) => writeFile(join(folder, ETC, name), text, { mode: 0o644 })),
  )
}

/** An image does not know what the machine is called. */
function etcOf({ hostname }: MachineSpec): Readonly<Record<string, string>> {
  return {
    hostname: `${hostname}\n`,
    hosts: `127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.0.1 ${hostname}\n`,
  }
}
