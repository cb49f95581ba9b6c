/** " (did you mean X?)" where one of the known names is nearly the same. */
export function nearest(name: string, known: Iterable<string>): string {
  const found = nearestName(name, known)
  return found === undefined ? '' : ` (did you mean ${found}?)`
}

/** The known name that differs least: by two letters at most, and in short names by fewer. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const most = Math.min(2, Math.floor(name.length / 2))
  const [best] = [...known]
    .map((candidate) => ({ candidate, letters: distance(name, candidate) }))
    .filter(({ letters }) => letters <= most)
    .toSorted((one, other) => one.letters - other.letters)
  return best?.candidate
}

/** Letters that are missing, too many or others; two that have changed places are one. */
function distance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row[j] = Math.min(
        (row[j - 1] ?? 0) + 1,
        (previous[j] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    before = previous
    previous = row
  }
  return previous[b.length] ?? 0
}
