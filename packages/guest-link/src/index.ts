export type { GuestLink, GuestLinkOptions } from './guest-link.ts'
export { openGuestLink } from './open-guest-link.ts'
