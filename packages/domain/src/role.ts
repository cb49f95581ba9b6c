/** What a key or token may do; each may do what the one before it may. */
export const ROLES = ['viewer', 'member', 'admin'] as const
/** What a key or token may do. */
export type Role = (typeof ROLES)[number]

export function roleAtLeast(role: Role, least: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(least)
}
