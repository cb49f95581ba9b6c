/** How strong the wall is, weakest first. `docs/threat-model.md` says what each stops. */
export const ISOLATIONS = ['process', 'namespace', 'container', 'kernel', 'microvm', 'vm'] as const
/** How strong the wall around a sandbox is. */
export type Isolation = (typeof ISOLATIONS)[number]

export function isIsolation(text: string): text is Isolation {
  return (ISOLATIONS as readonly string[]).includes(text)
}

/** True when `have` is at least as strong as `want`. */
export function satisfies(have: Isolation, want: Isolation): boolean {
  return ISOLATIONS.indexOf(have) >= ISOLATIONS.indexOf(want)
}
