import type { BodyOf } from '../api-contract.ts'
import type { MachineState } from './machine-state.ts'
import { Refused } from './refused.ts'
import { checkDrive, checkTap } from './stand-in-checks.ts'

/** Which file holds the memory. */
export function memoryOf({ mem_file_path: file, mem_backend: backend }: BodyOf<'PUT /snapshot/load'>): string {
  if (backend?.backend_type === 'Uffd') throw new Refused('Load snapshot error: nobody serves the page faults')
  const path = backend?.backend_path ?? file
  if (path === undefined || (file !== undefined && backend !== undefined)) {
    throw new Refused('Specify exactly one of `mem_backend` and `mem_file_path`.')
  }
  return path
}

/** The saved machine with what is to be another here; everything that it needs must be there. */
export function restoredMachine(saved: MachineState, asked: BodyOf<'PUT /snapshot/load'>): MachineState {
  const { network_overrides: overrides = [], vsock_override: vsockOverride } = asked
  const stranger = overrides.find(({ iface_id: id }) => !saved.interfaces.some((one) => one.iface_id === id))
  if (stranger !== undefined) throw new Refused(`Unknown Network Device: ${stranger.iface_id}`)
  if (vsockOverride !== undefined && saved.vsock === undefined) throw new Refused('Unknown Vsock Device')
  for (const drive of saved.drives) checkDrive(drive, [])
  const interfaces = saved.interfaces.map((one) => {
    const device = overrides.find(({ iface_id: id }) => id === one.iface_id)?.host_dev_name ?? one.host_dev_name
    checkTap(device)
    return { ...one, host_dev_name: device }
  })
  const tracks = asked.track_dirty_pages ?? asked.enable_diff_snapshots ?? false
  return {
    config: { ...saved.config, track_dirty_pages: tracks },
    drives: saved.drives,
    interfaces,
    ...(saved.vsock === undefined ? {} : { vsock: { ...saved.vsock, ...vsockOverride } }),
    ...(saved.balloon === undefined ? {} : { balloon: saved.balloon }),
    ...(saved.entropy === undefined ? {} : { entropy: saved.entropy }),
  }
}
