import { chown, mkdir } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { CoveError, newMachineId, type CreateContext, type MachineId, type Random } from '@cove/domain'
import { copyFile } from '@cove/images'
import type { HostProcess, HostProcessSpec, Launcher } from '@cove/runner'
import { connectSocket } from '../host/connect-socket.ts'
import { liveProcess } from '../host/live-process.ts'
import { removeTree } from '../host/remove-tree.ts'
import type { Prepared } from '../launched/prepare.ts'
import { readConsoleEnd } from './console-tail.ts'

export interface PackParts {
  readonly launcher: Launcher
  readonly random: Random
  /** Path of `cove-layers`. */
  readonly layersProgram: string
  readonly prepared: Prepared
  /** Who runs it, on the host; undefined where there is only one who can. */
  readonly base: number | undefined
}

/** What the one machine is that reads a disk. */
export interface PackPlace {
  readonly id: MachineId
  /** With its socket. */
  readonly folder: string
  /** Listening; what connects gets the archive. */
  readonly socket: string
  /** A copy of the disk. */
  readonly disk: string
}

/** All but what is the same for each: whose it is, and what goes with it. */
export type PackSpec = (place: PackPlace) => Omit<HostProcessSpec, 'id' | 'owner' | 'folders' | 'removeOnDestroy'>

export type Packed = { readonly tar: AsyncIterable<Uint8Array> } & AsyncDisposable

/** However large the disk is, and however slowly it is read. */
const MOST_MS = 30 * 60 * 1000
const END_MS = 10_000
const RECORD = 'pack-'

const copiesOf = ({ folders }: Prepared): string => join(dirname(folders.scratch), 'pack-disks')
const socketsOf = ({ folders }: Prepared): string => join(dirname(folders.machines), 'packs')

/** Removes what a dead daemon has left. */
export async function removePacks(prepared: Prepared): Promise<void> {
  await Promise.all([removeTree(copiesOf(prepared)), removeTree(socketsOf(prepared))])
}

/**
 * Has a machine that does nothing else read a copy of a disk, and answers what was written to it as a layer: so no kernel
 * of the host ever mounts what a guest has written. It goes with this daemon, and with the result.
 */
export async function packDisk(
  { launcher, random, layersProgram, prepared, base }: PackParts,
  image: string,
  specOf: PackSpec,
  { signal, progress }: CreateContext,
): Promise<Packed> {
  const id = newMachineId(random)
  const [folder, copies] = [join(socketsOf(prepared), id), join(copiesOf(prepared), id)]
  const place: PackPlace = { id, folder, socket: join(folder, 'p'), disk: join(copies, 'disk.img') }
  const owner = await liveProcess(process.pid)
  if (owner === undefined) throw new CoveError('internal', 'this process cannot be found in /proc')
  await using made = new AsyncDisposableStack()
  made.defer(async () => {
    await launcher.destroy(RECORD + id)
    await Promise.all([removeTree(copies), removeTree(folder)])
  })
  progress('copying the disk')
  for (const path of [dirname(folder), copies]) await mkdir(path, { recursive: true, mode: 0o700 })
  await copyFile(layersProgram, { from: image, into: place.disk, signal })
  if (base !== undefined) await chown(place.disk, base, base)
  progress('reading the disk')
  const spec: HostProcessSpec = {
    ...specOf(place),
    id: RECORD + id,
    owner,
    folders: [{ path: folder, mode: 0o700 }],
    removeOnDestroy: [folder, copies],
  }
  const host = await launcher.start(spec, signal)
  const limited = AbortSignal.any([signal, AbortSignal.timeout(MOST_MS)])
  const socket = await connectSocket(place.socket, limited)
  made.defer(() => void socket.destroy())
  const held = made.move()
  return { tar: archive(socket, host, limited), [Symbol.asyncDispose]: () => held.disposeAsync() }
}

/** Whole, or an error at its end. */
async function* archive(socket: Socket, host: HostProcess, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const onAbort = () => void socket.destroy(CoveError.from(signal.reason, 'cancelled'))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
    for await (const chunk of socket) if (chunk instanceof Uint8Array) yield chunk
  } catch (error) {
    if (signal.aborted) throw CoveError.from(signal.reason, 'cancelled')
    throw CoveError.from(error, 'io-error')
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
  await Promise.race([host.exited, delay(END_MS, undefined, { ref: false })])
  const { exit, reason } = readConsoleEnd(await host.output('stdout'))
  if (exit?.kind === 'exited' && exit.code === 0) return
  const said = Buffer.from(await host.output('stderr'))
    .toString('latin1')
    .replaceAll(/[^\x20-\x7e\n]/g, '')
    .trim()
  throw new CoveError(
    'driver-failed',
    `the disk cannot be read: ${reason ?? (said.slice(-300) || 'it does not say why')}`,
  )
}
