import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { ImageSchema, ImageService, PullImageResponseSchema } from '@cove/api'
import { CoveError, type FetchProgress, type ImageId, type StoredImage } from '@cove/domain'
import type { Images } from '../../images/images.ts'
import type { ServerLimits } from '../../options.ts'
import type { Methods } from './call.ts'
import { withKeepAlive } from './keep-alive.ts'

type Event = MessageInitShape<typeof PullImageResponseSchema>
type Pull = (progress: (step: FetchProgress) => void) => Promise<ImageId>

export function imageMethods(images: Images, limits: ServerLimits): Methods<typeof ImageService> {
  return {
    async listImages(_request, { caller }) {
      return { images: (await images.list(caller)).map(toImage) }
    },
    async *pullImage({ source }, { caller, signal }) {
      const leaving = new AbortController()
      const either = AbortSignal.any([signal, leaving.signal])
      const events = pulling((progress) => images.pull(caller, source, progress, either))
      try {
        yield* withKeepAlive<Event>(events, limits.keepAliveMs, () => ({ event: { case: 'keepAlive', value: {} } }))
      } finally {
        leaving.abort(new CoveError('cancelled', 'nobody waits for the image any more'))
      }
    },
    async deleteImage({ id }, { caller }) {
      await images.delete(caller, id)
      return {}
    },
    async pruneImages(_request, { caller }) {
      return { bytes: BigInt(await images.prune(caller)) }
    },
  }
}

/** Only the newest step waits for a slow reader. */
async function* pulling(pull: Pull): AsyncGenerator<Event> {
  let step: FetchProgress | undefined
  let told = Promise.withResolvers<undefined>()
  const result = pull((next) => {
    step = next
    told.resolve(undefined)
  })
  // Whoever leaves early has given it up.
  result.catch(() => undefined)
  for (;;) {
    const done = await Promise.race([result, told.promise])
    if (done !== undefined) {
      yield { event: { case: 'done', value: { id: done } } }
      return
    }
    told = Promise.withResolvers<undefined>()
    if (step !== undefined) yield { event: { case: 'step', value: toStep(step) } }
    step = undefined
  }
}

function toStep({ step, bytes = 0, totalBytes = 0 }: FetchProgress) {
  return { text: step, bytes: BigInt(bytes), totalBytes: BigInt(totalBytes) }
}

function toImage({
  info,
  names,
  pins,
  inUse,
  bytes,
  ownBytes,
  usedAt,
}: StoredImage): MessageInitShape<typeof ImageSchema> {
  const { os, architecture, variant } = info.platform
  return {
    id: info.id,
    source: info.source,
    names: [...names],
    pins: [...pins],
    inUse,
    bytes: BigInt(bytes),
    ownBytes: BigInt(ownBytes),
    layers: info.layers.length,
    platform: [os, architecture, ...(variant === undefined ? [] : [variant])].join('/'),
    fetchedAt: timestampFromMs(info.fetchedAt),
    usedAt: timestampFromMs(usedAt),
  }
}
