import { kernelCommandLine } from '../microvm/kernel-command-line.ts'
import type { FirecrackerApi } from './api-client.ts'
import type { BodyOf } from './api-contract.ts'
import { INSIDE } from './machine-spec.ts'

const MiB = 1024 * 1024
/** Each machine's vsock is its own: the number need not be another in each. */
const GUEST_CID = 3
const BALLOON_SECONDS = 1
/** The content of a machine's memory is read as it is needed: what is waited for is its state. */
const LOAD_MS = 60_000

export type RateLimiter = NonNullable<BodyOf<'PUT /drives/{drive_id}'>['rate_limiter']>

export interface Boot {
  readonly memoryBytes: number
  readonly cpus: number
  /** Of the writable disk. Default: none. */
  readonly diskRate?: RateLimiter | undefined
}

const drive = (id: string, path: string, readOnly: boolean): BodyOf<'PUT /drives/{drive_id}'> => ({
  drive_id: id,
  path_on_host: path,
  is_read_only: readOnly,
  is_root_device: false,
  // What the guest has been told is on the disk is at least in the host's hands.
  ...(readOnly ? {} : { cache_type: 'Writeback' }),
})

/** Tells Firecracker what the machine consists of, and starts it. What is inside comes up a moment later. */
export async function bootMachine(api: FirecrackerApi, boot: Boot, signal: AbortSignal): Promise<void> {
  const options = { signal }
  await api.call(
    'PUT /machine-config',
    // Later snapshots then only need what has changed since the one before.
    { vcpu_count: boot.cpus, mem_size_mib: Math.floor(boot.memoryBytes / MiB), smt: false, track_dirty_pages: true },
    options,
  )
  const args = `${kernelCommandLine({ emulated: false })} pci=off`
  await api.call(
    'PUT /boot-source',
    { kernel_image_path: INSIDE.kernel, initrd_path: INSIDE.initrd, boot_args: args },
    options,
  )
  await api.call('PUT /drives/{drive_id}', drive('config', INSIDE.config, true), options)
  await api.call('PUT /drives/{drive_id}', drive('root', INSIDE.root, true), options)
  const disk = drive('disk', INSIDE.disk, false)
  const rate = boot.diskRate === undefined ? {} : { rate_limiter: boot.diskRate }
  await api.call('PUT /drives/{drive_id}', { ...disk, ...rate }, options)
  await api.call('PUT /vsock', { guest_cid: GUEST_CID, uds_path: INSIDE.vsock }, options)
  await api.call('PUT /entropy', {}, options)
  const balloon = { amount_mib: 0, deflate_on_oom: true, stats_polling_interval_s: BALLOON_SECONDS }
  await api.call('PUT /balloon', balloon, options)
  await api.call('PUT /actions', { action_type: 'InstanceStart' }, options)
}

/** Has a fresh Firecracker go on with the machine whose state and memory it is shown. */
export async function loadMachine(api: FirecrackerApi, signal: AbortSignal): Promise<void> {
  await api.call(
    'PUT /snapshot/load',
    {
      snapshot_path: INSIDE.saved.state,
      mem_backend: { backend_type: 'File', backend_path: INSIDE.saved.memory },
      track_dirty_pages: true,
      resume_vm: true,
    },
    { signal, timeoutMs: LOAD_MS },
  )
}
