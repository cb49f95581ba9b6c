import type { MachineSpec, Problem } from '@cove/domain'
import type { GuestSystem } from '@cove/guest-system'

const MiB = 1024 * 1024
/** With less the kernel does not come up, or the agent has no room. */
export const MIN_VM_MEMORY_BYTES = 48 * MiB
/** Devices besides those that every machine has: without ACPI there is one interrupt controller, with room for few. */
const MORE_DEVICES = { acpi: 18, plain: 2 } as const

export const NO_HOST = {
  message: 'a machine with a kernel of its own does not see the programs of the host',
  fix: 'Start from an image, for example `--template oci:docker.io/library/debian:12`.',
} as const

/** What no virtual machine gives. */
export function vmProblems(spec: MachineSpec, system: GuestSystem | undefined): readonly Problem[] {
  const problems: Problem[] = []
  const root = spec.from.kind === 'snapshot' ? spec.from.root : spec.from
  if (root.kind === 'host') problems.push({ field: 'from', ...NO_HOST })
  const memory = spec.limits.memoryBytes?.value
  if (memory !== undefined && memory > 0 && memory < MIN_VM_MEMORY_BYTES) {
    problems.push({
      field: 'limits.memoryBytes',
      message: `memoryBytes is less than ${MIN_VM_MEMORY_BYTES}, which the kernel of the machine needs`,
      fix: `Ask for ${MIN_VM_MEMORY_BYTES / MiB} MiB or more.`,
    })
  }
  if ((spec.volumes ?? []).length > 0 && system !== undefined && !system.has.ninep) {
    problems.push({
      field: 'volumes',
      message: `the kernel ${system.version} of virtual machines cannot show folders of the host (it has no 9p)`,
      fix: 'Run `cove kernel build` for one that can, or use a driver without a kernel of its own.',
    })
  }
  const volumes = spec.volumes?.length ?? 0
  const network = spec.network.kind === 'internet' ? 1 : 0
  const room = system?.acpi === true ? MORE_DEVICES.acpi : MORE_DEVICES.plain
  if (system !== undefined && volumes > 0 && volumes + network > room) {
    problems.push({
      field: 'volumes',
      message: `${volumes} volumes are more than a virtual machine with the kernel ${system.version} has room for`,
      fix: `Use at most ${room - network}, or a driver without a kernel of its own.`,
    })
  }
  return problems
}
