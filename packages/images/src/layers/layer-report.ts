import { CoveError } from '@cove/domain'

/** What was made of a layer. */
export interface LayerReport {
  readonly entries: number
  /** Content without holes, names and attributes. */
  readonly bytes: number
  /** Folders that nothing in the layer describes: they are as in the layers below it, and the layer fits no others. */
  readonly implied: number
  /** What could not be kept and was left out; root keeps everything. */
  readonly skipped: {
    /** Files that belong to the one who unpacked, not to their owner. */
    readonly owners: number
    readonly devices: number
    /** Also those that an archive may not bring: the marks of overlays. */
    readonly attributes: number
  }
}

/** Reads what the program prints at its end. */
export function parseLayerReport(line: string): LayerReport {
  try {
    const value: unknown = JSON.parse(line)
    const report = fields(value)
    const skipped = fields(report['skipped'])
    return {
      entries: count(report['entries']),
      bytes: count(report['bytes']),
      implied: count(report['implied']),
      skipped: {
        owners: count(skipped['owners']),
        devices: count(skipped['devices']),
        attributes: count(skipped['attributes']),
      },
    }
  } catch (cause) {
    throw new CoveError('io-error', `the program for layers says ${JSON.stringify(line.slice(0, 200))}`, {}, { cause })
  }
}

function fields(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new TypeError('not an object')
  return value as Record<string, unknown>
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new TypeError('not a count')
  return value
}
