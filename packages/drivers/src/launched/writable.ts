import { chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError, type MachineId, type MachineSpec } from '@cove/domain'
import type { DiskForm, DiskStore } from '../host/disk-store.ts'
import type { Prepared } from './prepare.ts'

/** Where one machine's writes go. */
export type Writable =
  /** Folders, made by the launcher when they do not exist. */
  | { readonly kind: 'folder'; readonly path: string; readonly exists: boolean }
  /** A file system of its own, already formatted. */
  | { readonly kind: 'image'; readonly image: string }
  /** Memory of a fixed size: gone with the machine. */
  | { readonly kind: 'memory'; readonly bytes: number }

/**
 * Decides it, and makes the image where one is needed; then the machine's or the disk's folder exists too.
 * Undoing is the caller's.
 */
export async function placeWritable(
  prepared: Prepared,
  disks: DiskStore,
  id: MachineId,
  spec: MachineSpec,
  form: DiskForm,
  placeBlank: (path: string) => Promise<boolean>,
  owner?: number,
  makeImage?: (path: string) => Promise<void>,
): Promise<Writable> {
  const { disk } = spec
  const limit = spec.limits.diskBytes
  const folder = join(prepared.folders.scratch, id)
  if (prepared.disks === 'image') return placeImage(prepared, disks, id, spec, form, owner, makeImage)
  if (form.kind === 'absent' && limit?.required === true) {
    if (prepared.images === undefined) {
      if (disk === undefined) return { kind: 'memory', bytes: limit.value }
      throw new CoveError('limit-not-enforceable', KEPT_DISK, { field: 'limits.diskBytes' })
    }
    const image = disk === undefined ? join(folder, 'disk.img') : disks.imageOf(disk)
    await mkdir(disk === undefined ? folder : disks.pathOf(disk), { mode: 0o700 })
    await prepared.images.make(image, limit.value)
    return { kind: 'image', image }
  }
  if (limit?.required === true) refuseOtherSize(form, limit.value)
  if (disk === undefined) return { kind: 'folder', path: folder, exists: false }
  if (form.kind === 'image') return { kind: 'image', image: disks.imageOf(disk) }
  const path = disks.pathOf(disk)
  const exists = form.kind === 'folder' || (form.kind === 'absent' && (await placeBlank(path)))
  return { kind: 'folder', path, exists }
}

/** Bytes of a disk that nobody has asked to be of a size; what is not used of them is not there. */
const DEFAULT_BYTES = 8 * 1024 ** 3

/** A file that the machine's own process opens: it belongs to whom that runs as, each time anew. */
async function placeImage(
  prepared: Prepared,
  disks: DiskStore,
  id: MachineId,
  { disk, limits }: MachineSpec,
  form: DiskForm,
  owner: number | undefined,
  makeImage: ((path: string) => Promise<void>) | undefined,
): Promise<Writable> {
  const { images, folders } = prepared
  const limit = limits.diskBytes
  const folder = disk === undefined ? join(folders.scratch, id) : disks.pathOf(disk)
  const image = disk === undefined ? join(folder, 'disk.img') : disks.imageOf(disk)
  if (form.kind === 'absent') {
    if (images === undefined) {
      const fix = 'Install it: apt-get install e2fsprogs.'
      throw new CoveError('isolation-unavailable', 'mkfs.ext4 is not installed', {}, { fix })
    }
    await mkdir(folder, { mode: 0o700 })
    await (makeImage === undefined ? images.make(image, limit?.value ?? DEFAULT_BYTES) : makeImage(image))
  } else if (limit?.required === true) refuseOtherSize(form, limit.value)
  if (owner !== undefined) await chown(image, owner, owner)
  return { kind: 'image', image }
}

/** Said of hosts where only memory can be given a size. */
export const KEPT_DISK = 'a disk of a fixed size that outlives its machine needs root and mkfs.ext4'

function refuseOtherSize(form: DiskForm, bytes: number): void {
  if (form.kind === 'image' && form.bytes <= bytes) return
  throw new CoveError(
    'limit-not-enforceable',
    form.kind === 'image'
      ? `the disk was made with ${form.bytes} bytes and cannot shrink to ${bytes}`
      : 'the disk was made without a size and cannot get one now',
    { field: 'limits.diskBytes' },
  )
}
