import { CoveError } from '@cove/domain'
import { formatReference, parseReference } from '../reference/reference.ts'

const MAX_LISTED = 20

/** Of the images in an archive those that are meant: all of one name, for several platforms of it may lie there. */
export function chooseImages<T extends { readonly names: readonly string[] }>(
  images: readonly T[],
  wanted: string | undefined,
): readonly T[] {
  const there = [...new Set(images.flatMap(({ names }) => names))]
  const list = there.slice(0, MAX_LISTED).join(', ')
  if (images.length === 0) throw new CoveError('image-invalid', 'the archive has no image')
  if (wanted !== undefined) {
    const found = images.filter(({ names }) => names.some((name) => isSame(name, wanted)))
    if (found.length > 0) return found
    throw new CoveError(
      'image-not-found',
      `the archive has no image ${JSON.stringify(wanted)}`,
      { there: list },
      { fix: there.length === 0 ? 'Its images have no names: leave the name out.' : `It has: ${list}.` },
    )
  }
  const [first] = images
  const one = images.every(({ names }) => names.join() === first?.names.join())
  if (one) return images
  throw new CoveError(
    'invalid-argument',
    `the archive has several images: ${list}`,
    { field: 'name', there: list },
    { fix: `Say which one behind the path, such as ":${there[0] ?? ''}".` },
  )
}

/** The name to keep: in full where it is a reference, as it is where it is only a tag. */
export function nameOf(names: readonly string[], configDigest: string): string {
  const [name] = names
  if (name === undefined) return configDigest
  return /[/:]/.test(name) ? (full(name) ?? name) : name
}

function isSame(name: string, wanted: string): boolean {
  if (name === wanted) return true
  const both = [full(name), full(wanted)]
  return both[0] !== undefined && both[0] === both[1]
}

function full(name: string): string | undefined {
  try {
    return formatReference(parseReference(name))
  } catch {
    return undefined
  }
}
