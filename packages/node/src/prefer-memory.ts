import type { Driver, MachineSpec, PoolSpec, SandboxSpec } from '@cove/domain'
import { chooseDriver } from './choose-driver.ts'
import type { NodeParts } from './node-parts.ts'
import { throwIfAborted } from './wait.ts'

/** The driver for what is wished: where none is named, the one that keeps the template's memory, if that is to be had. */
export async function preferMemory(
  parts: NodeParts,
  wish: Pick<SandboxSpec, 'isolation' | 'memory'> & { readonly driver?: PoolSpec['driver'] | undefined },
  spec: MachineSpec,
  signal: AbortSignal,
): Promise<Driver> {
  const { isolation, memory, driver } = wish
  if (driver === undefined && memory !== undefined && memory.unfit === undefined) {
    try {
      return await chooseDriver(parts.drivers, parts.proofs, { isolation, driver: memory.driver, spec }, signal)
    } catch {
      throwIfAborted(signal)
    }
  }
  return await chooseDriver(parts.drivers, parts.proofs, { isolation, driver, spec }, signal)
}
