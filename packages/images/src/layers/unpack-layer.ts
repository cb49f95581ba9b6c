import { createHash } from 'node:crypto'
import { CoveError } from '@cove/domain'
import type { Compression } from '../registry/image-source.ts'
import { decompressionError, decompressor } from './decompress.ts'
import { feed } from './feed.ts'
import { parseLayerReport, type LayerReport } from './layer-report.ts'
import { readLine, startLayersProgram } from './layers-program.ts'
import { DEFAULT_LAYER_LIMITS, limitArguments, type LayerLimits } from './limits.ts'
import { makeTree } from './make-tree.ts'
import { zstdFrames } from './zstd-frames.ts'

export interface UnpackLayerRequest {
  /** The layer's bytes as they are stored or sent. */
  readonly compressed: AsyncIterable<Uint8Array>
  readonly compression: Compression
  /** A folder that is not there yet, in one that is; gone again when anything fails. */
  readonly into: string
  /** The unpacked layers below, the first on top: where folders are taken from that the layer does not describe. */
  readonly over?: readonly string[]
  readonly limits?: Partial<LayerLimits>
  /** Waits until all of it is on the disk. Default false. */
  readonly sync?: boolean
  readonly signal?: AbortSignal
  /** Told for every piece: compressed bytes so far. */
  readonly onBytes?: (bytes: number) => void
}

export interface UnpackedLayer extends LayerReport {
  /** `sha256:` and the digest of the archive without its compression. */
  readonly diffId: string
  /** Of that archive. */
  readonly archiveBytes: number
}

/**
 * Unpacks a layer as the OCI image specification has it into a folder that overlayfs takes as a lower directory.
 * Errors: `image-invalid`, `no-space`, `io-error`, `unsupported`, `cancelled`, and whatever `compressed` throws.
 */
export async function unpackLayer(program: string, request: UnpackLayerRequest): Promise<UnpackedLayer> {
  const { into, over = [], limits, sync = false, signal } = request
  const args = ['unpack', '--into', into, ...limitArguments(limits), ...(sync ? ['--sync'] : [])]
  for (const lower of over) args.push('--over', lower)
  return await makeTree(program, into, async () => await unpackArchive(program, args, { ...request, limits, signal }))
}

type Archive = Pick<UnpackLayerRequest, 'compressed' | 'compression' | 'onBytes'> & {
  readonly limits: Partial<LayerLimits> | undefined
  readonly signal: AbortSignal | undefined
}

/** Streams an archive into a program that has just been told where to put it. */
export async function unpackArchive(
  program: string,
  args: readonly string[],
  archive: Archive,
): Promise<UnpackedLayer> {
  const { compressed, compression, onBytes, limits, signal } = archive
  const hash = createHash('sha256')
  const most = mostArchiveBytes({ ...DEFAULT_LAYER_LIMITS, ...limits })
  let uncompressed = 0
  await using run = startLayersProgram(program, args, signal)
  let sourceError: unknown
  const source = counted(compressed, onBytes, (thrown) => {
    sourceError = thrown
  })
  const feeding = feed({
    source: compression === 'zstd' ? zstdFrames(source) : source,
    through: decompressor(compression),
    meter: (chunk) => {
      uncompressed += chunk.length
      if (uncompressed > most) throw new CoveError('image-invalid', `the layer has more than ${most} bytes`)
      hash.update(chunk)
    },
    into: run.stdin,
  }).catch((thrown: unknown) => {
    // The program must not take a stream that broke for one that is complete.
    const mine = sourceError ?? decompressionError(thrown) ?? (thrown instanceof CoveError ? thrown : undefined)
    if (mine !== undefined) run.kill()
    return { thrown, mine }
  })
  const [failed, said] = await Promise.all([feeding, readLine(run.stdout)])
  if (signal?.aborted !== true && failed?.mine !== undefined) throw failed.mine
  await run.ended
  if (failed !== undefined) throw CoveError.from(failed.thrown, 'io-error')
  return { diffId: `sha256:${hash.digest('hex')}`, archiveBytes: uncompressed, ...parseLayerReport(said) }
}

/** An archive has headers and padding besides what it unpacks to. */
function mostArchiveBytes({ bytes, entries }: LayerLimits): number {
  return Math.min(bytes + entries * 4_096, Number.MAX_SAFE_INTEGER)
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  onBytes: ((bytes: number) => void) | undefined,
  failed: (thrown: unknown) => void,
): AsyncGenerator<Uint8Array> {
  let bytes = 0
  try {
    for await (const chunk of source) {
      bytes += chunk.length
      onBytes?.(bytes)
      yield chunk
    }
  } catch (thrown) {
    failed(thrown)
    throw thrown
  }
}
