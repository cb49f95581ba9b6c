export type { GuestSystem, KernelAbilities, KernelInfo, KernelProgress } from './kernel-info.ts'
export { openGuestSystems, openKernels, type GuestSystems, type Kernels } from './guest-systems.ts'
