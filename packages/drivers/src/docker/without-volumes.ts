import { CoveError } from '@cove/domain'
import { emptyTar, tarHeader, tarPadding } from './tar-file.ts'
import { TarReader } from './tar-reader.ts'

const MAX_CONFIG_BYTES = 16 * 1024 * 1024
const FILE = '0'
const FOLDER = '5'

/**
 * An archive for `docker load` whose image declares no volumes: what a machine writes there is to be on its disk like
 * everything else, and an engine would make a volume that nobody asked for. It gets another id by that, in the engine.
 */
export async function* withoutVolumes(archive: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const entry of new TarReader(archive)) {
    const { name, type, size } = entry
    if (type === FOLDER) {
      yield tarHeader(name, 0, 0o755, FOLDER)
      continue
    }
    if (type !== FILE) throw new CoveError('image-invalid', `an image's archive has something else than files: ${name}`)
    if (/^(?:\.\/)?[0-9a-f]{64}\.json$/.test(name) && size <= MAX_CONFIG_BYTES) {
      const config = Buffer.concat(await Array.fromAsync(entry.content()))
      const changed = stripped(config)
      yield tarHeader(name, changed.length)
      yield changed
      yield tarPadding(changed.length)
      continue
    }
    yield tarHeader(name, size)
    yield* entry.content()
    yield tarPadding(size)
  }
  yield emptyTar
}

function stripped(bytes: Buffer): Uint8Array {
  let image: unknown
  try {
    image = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new CoveError('image-invalid', 'the configuration of the image is no JSON', {}, { cause })
  }
  if (!isObject(image) || !isObject(image['config']) || image['config']['Volumes'] === undefined) return bytes
  const { Volumes: _volumes, ...config } = image['config']
  return Buffer.from(JSON.stringify({ ...image, config }))
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
