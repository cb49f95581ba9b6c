/** What one layer may be at most; whatever is larger is refused with `image-invalid`. */
export interface LayerLimits {
  /** Of everything that is unpacked: content without holes, names, attributes. */
  readonly bytes: number
  /** Of one file, its holes included. */
  readonly fileBytes: number
  readonly entries: number
  /** Of one path, in bytes. */
  readonly pathBytes: number
  /** Folders within each other. */
  readonly depth: number
}

export const DEFAULT_LAYER_LIMITS: LayerLimits = {
  bytes: 64 * 2 ** 30,
  fileBytes: 2 ** 40,
  entries: 2_000_000,
  pathBytes: 4_095,
  depth: 256,
}

/** As the program takes them. */
export function limitArguments(limits: Partial<LayerLimits> = {}): readonly string[] {
  const { bytes, fileBytes, entries, pathBytes, depth } = { ...DEFAULT_LAYER_LIMITS, ...limits }
  const facts = { bytes, 'file-bytes': fileBytes, entries, 'path-bytes': pathBytes, depth }
  return Object.entries(facts).flatMap(([name, value]) => [`--max-${name}`, String(value)])
}
