import { CoveError, type Platform } from '@cove/domain'
import { digestOf, algorithmOf } from '../reference/digest.ts'
import { describe } from '../registry/blob-file.ts'
import type { Descriptor, ImageSource } from '../registry/image-source.ts'
import { MAX_MANIFEST, parseManifest, type IndexEntry } from '../registry/manifest.ts'
import { resolveImage } from '../registry/resolve-image.ts'
import { chooseImages, nameOf } from './choose-image.ts'
import type { ImageFiles } from './image-files.ts'

const MARKER = 'oci-layout'
const INDEX = 'index.json'

type Opened = Omit<ImageSource, typeof Symbol.asyncDispose>

/** The image of an OCI layout; undefined when there is no layout. */
export async function openLayoutImage(
  files: ImageFiles,
  wanted: string | undefined,
  platform: Platform,
): Promise<Opened | undefined> {
  if ((await files.read(MARKER, MAX_MANIFEST)) === undefined) return undefined
  const bytes = await files.read(INDEX, MAX_MANIFEST)
  if (bytes === undefined) return undefined
  const index = parseManifest(bytes)
  if (index.kind !== 'index') throw new CoveError('image-invalid', 'the index of the archive is none')
  const images = index.entries.map((entry) => ({ entry, names: namesOf(entry) }))
  const chosen = chooseImages(images, wanted)
  const reader = {
    manifest: async (descriptor: Descriptor) => parseManifest(await document(files, descriptor), descriptor.mediaType),
    config: (descriptor: Descriptor) => document(files, descriptor),
  }
  const image = await resolveImage({ kind: 'index', entries: chosen.map(({ entry }) => entry) }, platform, reader)
  return {
    name: nameOf(chosen[0]?.names ?? [], image.configDigest),
    ...image,
    fetchLayer: (layer, file, options) => files.place(blobName(layer), layer, file, options),
  }
}

/** What tools call an image in a layout: some in full, some only by the tag. */
function namesOf({ annotations }: IndexEntry): readonly string[] {
  const names = [annotations['io.containerd.image.name'], annotations['org.opencontainers.image.ref.name']]
  return [...new Set(names.filter((name) => name !== undefined && name !== ''))] as string[]
}

async function document(files: ImageFiles, descriptor: Descriptor): Promise<Buffer> {
  const { digest, size } = descriptor
  const bytes = await files.read(blobName(descriptor), size)
  if (bytes === undefined) throw new CoveError('image-invalid', `${describe(descriptor)} is not in the archive`)
  if (bytes.length !== size || digestOf(bytes, algorithmOf(digest)) !== digest) {
    throw new CoveError('image-invalid', `${describe(descriptor)} has another size or digest than it should have`)
  }
  return bytes
}

/** Digests are checked by their pattern, so that this is a name in the layout. */
function blobName({ digest }: Descriptor): string {
  return `blobs/${digest.replace(':', '/')}`
}
