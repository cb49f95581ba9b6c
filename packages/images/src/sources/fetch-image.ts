import { createReadStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { formatSource, type FetchProgress, type ParsedSource, type Platform } from '@cove/domain'
import type { ImageSource } from '../registry/image-source.ts'
import type { HeldImage } from '../store/keep-image.ts'
import type { StoreParts } from '../store/parts.ts'
import { takeImage } from '../store/take-image.ts'
import { debianRoot } from './debian-root.ts'
import { directoryRoot } from './directory-root.ts'
import { buildWithTools } from './dockerfile.ts'
import { formatPlatform } from '../registry/platform.ts'
import { takeRoot } from './take-root.ts'
import { tarRoot } from './tar-root.ts'
import { workFolder } from './work-folder.ts'

export interface FetchRequest {
  readonly source: Exclude<ParsedSource, { kind: 'host' }>
  readonly platform: Platform
  /** Under which it is found again without asking its source. */
  readonly name?: { readonly text: string; readonly stamp?: string }
  readonly signal: AbortSignal
  readonly progress: (step: FetchProgress) => void
}

/** Makes the image of a source, whatever is here already. */
export async function fetchImage(parts: StoreParts, request: FetchRequest): Promise<HeldImage> {
  const { source } = request
  switch (source.kind) {
    case 'oci': {
      request.progress({ step: `asking for ${source.reference}` })
      return await take(parts, request, parts.openers.registry(source.reference, request.platform, request.signal))
    }
    case 'oci-layout': {
      const { platform } = request
      const options = { platform, ...(source.name === undefined ? {} : { name: source.name }) }
      return await take(parts, request, parts.openers.layout(source.path, options))
    }
    case 'oci-archive':
    case 'docker-archive':
      return await takeArchive(parts, request, createReadStream(source.path, { highWaterMark: 1 << 20 }), source.name)
    case 'dockerfile':
      return await takeDockerfile(parts, request, source.path)
    case 'directory':
      return await takeRoot(parts, request, directoryRoot(source.path))
    case 'tar':
      return await takeRoot(parts, request, tarRoot(source.path))
    case 'debian':
      return await takeRoot(parts, request, debianRoot(source, request))
  }
}

/** An archive of either format, from wherever it comes. */
export async function takeArchive(
  parts: StoreParts,
  request: FetchRequest,
  archive: AsyncIterable<Uint8Array>,
  name?: string,
): Promise<HeldImage> {
  const { platform, signal, progress } = request
  await using scratch = await workFolder(parts)
  const opening = parts.openers.archive(archive, {
    platform,
    signal,
    scratch: scratch.path,
    onBytes: (bytes) => progress({ step: 'reading the archive', bytes }),
    ...(name === undefined ? {} : { name }),
  })
  return await take(parts, request, opening)
}

async function takeDockerfile(parts: StoreParts, request: FetchRequest, path: string): Promise<HeldImage> {
  const { signal, progress, platform } = request
  await using work = await workFolder(parts)
  const archive = join(work.path, 'image.tar')
  const scratch = join(work.path, 'scratch')
  await mkdir(scratch, { mode: 0o700 })
  await (parts.buildDockerfile ?? buildWithTools)({
    path,
    archive,
    scratch,
    platform: formatPlatform(platform),
    signal,
    progress: (line) => progress({ step: line }),
  })
  return await takeArchive(parts, request, createReadStream(archive, { highWaterMark: 1 << 20 }))
}

async function take(parts: StoreParts, request: FetchRequest, opening: Promise<ImageSource>): Promise<HeldImage> {
  const { source, name, signal, progress } = request
  await using image = await opening
  return await takeImage(parts, image, {
    source: formatSource(source),
    ...(name === undefined ? {} : { name }),
    signal,
    progress,
    mayBeOverHost: source.kind !== 'oci',
  })
}
