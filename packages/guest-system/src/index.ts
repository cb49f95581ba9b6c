export type { GuestSystem, KernelAbilities, KernelInfo, KernelProgress } from './kernel-info.ts'
export { openGuestSystems, type GuestSystems } from './guest-systems.ts'
