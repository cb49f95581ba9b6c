import { homedir } from 'node:os'
import { join } from 'node:path'
import { openGuestSystems } from '@cove/guest-system'

const BUILD = join(import.meta.dirname, '../../build')
const FOLDER =
  process.env['COVE_KERNEL_DIR'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'cove/kernels')

/** The kernel that has been built for virtual machines, which needs no modules to start from a disk. */
export async function findKernel(): Promise<string | undefined> {
  const systems = openGuestSystems({
    folder: FOLDER,
    bootProgram: join(BUILD, 'cove-boot'),
    guestProgram: join(BUILD, 'cove-guest'),
    layersProgram: join(BUILD, 'cove-layers'),
  })
  const system = await systems.current(AbortSignal.timeout(60_000))
  return system?.origin === 'built' ? system.kernel : undefined
}
