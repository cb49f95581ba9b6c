/** " (did you mean X?)" when one known name differs by at most two letters. */
export function nearest(name: string, known: Iterable<string>): string {
  const [best] = [...known]
    .map((candidate) => ({ candidate, letters: distance(name, candidate) }))
    .filter(({ letters }) => letters <= 2)
    .toSorted((a, b) => a.letters - b.letters)
  return best === undefined ? '' : ` (did you mean ${best.candidate}?)`
}

function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(
        (row[j - 1] ?? 0) + 1,
        (previous[j] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1),
      )
    }
    previous = row
  }
  return previous[b.length] ?? 0
}
