import type { Kernels } from '@cove/guest-system'
import { loadConfig } from '../config/load.ts'
import type { Io } from '../io.ts'

/** The kernels of the folder that was named, else of the one that the settings name. */
export async function openSettingsKernels(kernelDir: string | undefined, io: Io): Promise<Kernels> {
  const { settings } = await loadConfig({ env: io.env, flags: kernelDir === undefined ? {} : { kernelDir } })
  const { openKernels } = await import('@cove/guest-system')
  return openKernels({ folder: settings.kernelDir })
}
