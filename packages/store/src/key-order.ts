/**
 * Orders keys by their UTF-8 bytes. JavaScript compares UTF-16 units, where surrogate pairs sort before
 * U+E000 to U+FFFF; their bytes sort after.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return lift(x) - lift(y)
  }
  return a.length - b.length
}

function lift(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

/** Index of the first key in the sorted list that is not below `key`. */
export function lowerBound(sorted: readonly string[], key: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareKeys(sorted[middle] ?? '', key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
