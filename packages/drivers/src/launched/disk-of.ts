import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError, type DiskContent } from '@cove/domain'
import type { HostProcess } from '@cove/runner'
import { isAlive } from '../host/live-process.ts'
import type { MachineNote } from '../host/machine-note.ts'
import { LAYER_FOLDERS } from './disk-image.ts'
import { imageOf } from './machine-spec.ts'
import type { Prepared } from './prepare.ts'
import { STAGE } from './stage.ts'

/**
 * What a machine has written, as folders of this host. A disk that is a file system of its own is read where the
 * machine has it mounted, so that both see the same; the mount is held until the result is disposed.
 */
export async function diskOf(
  prepared: Prepared,
  note: MachineNote,
  process: HostProcess,
  idBase: number,
): Promise<DiskContent & { kind: 'upper' } & AsyncDisposable> {
  const { scratch, disks } = prepared.folders
  const folder = note.disk === undefined ? join(scratch, note.machine) : join(disks, note.disk)
  const [rootUpper, , usrUpper] = LAYER_FOLDERS
  const isFolder = (await isThere(join(folder, rootUpper))) && !(await isThere(imageOf(prepared, note)))
  const mount = isFolder ? undefined : await openMounted(process)
  const at = mount?.path ?? folder
  return {
    kind: 'upper',
    parts: [
      { path: join(at, rootUpper), at: '/' },
      ...(note.image === true ? [] : [{ path: join(at, usrUpper), at: '/usr' }]),
    ],
    idBase,
    [Symbol.asyncDispose]: async () => mount?.close(),
  }
}

const gone = () => new CoveError('wrong-state', 'the machine has ended: its disk is not mounted any more')

interface Mounted {
  readonly path: string
  close(): Promise<void>
}

/** The tool that watches the machine lives where the launcher has made the mounts. */
async function openMounted(monitor: HostProcess): Promise<Mounted> {
  const handle = await open(`/proc/${monitor.pid}/root${STAGE}/disk`).catch(() => {
    throw gone()
  })
  // Only now is it certain whose that is.
  if (!(await isAlive(monitor))) {
    await handle.close()
    throw gone()
  }
  return { path: `/proc/${process.pid}/fd/${handle.fd}`, close: () => handle.close() }
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
