import { createHash } from 'node:crypto'
import { parseImageId, type ImageDefaults, type ImageId, type Platform } from '@cove/domain'
import { isObject, parseJson, type JsonObject } from '../registry/json.ts'

/** Says in an image's labels that it lies over the programs of the host. */
const BASE_LABEL = 'dev.cove.base'
const MAX_HISTORY = 500
const MAX_COMMENT = 1_024

export interface ConfigChange {
  /** The configuration of the image below; of a new one, what it is for. */
  readonly parent: Uint8Array | { readonly platform: Platform; readonly base: 'scratch' | 'host' }
  readonly layer?: { readonly diffId: string }
  readonly defaults: Partial<ImageDefaults>
  readonly comment?: string
}

export interface BuiltConfig {
  readonly id: ImageId
  readonly bytes: Uint8Array
}

/**
 * The configuration of an image that is another one with a layer or with other defaults. It says nothing of when it was
 * made: the same image has the same id.
 */
export function buildConfig({ parent, layer, defaults, comment }: ConfigChange): BuiltConfig {
  const before = parent instanceof Uint8Array ? parseJson(parent, 'the configuration of the image') : fresh(parent)
  const { created: _created, history, rootfs, ...rest } = before
  const diffIds = isObject(rootfs) && Array.isArray(rootfs['diff_ids']) ? rootfs['diff_ids'] : []
  const entry = {
    created_by: (comment ?? 'cove').slice(0, MAX_COMMENT),
    ...(layer === undefined ? { empty_layer: true } : {}),
  }
  const after = {
    ...rest,
    config: changeDefaults(isObject(before['config']) ? before['config'] : {}, defaults),
    rootfs: { type: 'layers', diff_ids: [...diffIds, ...(layer === undefined ? [] : [layer.diffId])] },
    ...historyOf(history, diffIds.length, entry),
  }
  const bytes = Buffer.from(JSON.stringify(after))
  return { bytes, id: parseImageId(`sha256:${createHash('sha256').update(bytes).digest('hex')}`) }
}

/** What an image lies over, as its own configuration says. */
export function baseOf(config: Uint8Array): 'scratch' | 'host' {
  const { config: section } = parseJson(config, 'the configuration of the image')
  const labels = isObject(section) && isObject(section['Labels']) ? section['Labels'] : {}
  return labels[BASE_LABEL] === 'host' ? 'host' : 'scratch'
}

function fresh({ platform, base }: { readonly platform: Platform; readonly base: 'scratch' | 'host' }): JsonObject {
  const { os, architecture, variant } = platform
  return {
    architecture,
    ...(variant === undefined ? {} : { variant }),
    os,
    config: base === 'host' ? { Labels: { [BASE_LABEL]: 'host' } } : {},
  }
}

function changeDefaults(config: JsonObject, { env, workdir, user, command }: Partial<ImageDefaults>): JsonObject {
  const { Entrypoint: entrypoint, ...rest } = config
  return {
    ...rest,
    ...(entrypoint === undefined || command !== undefined ? {} : { Entrypoint: entrypoint }),
    ...(env === undefined ? {} : { Env: Object.entries(env).map(([name, value]) => `${name}=${value}`) }),
    ...(workdir === undefined ? {} : { WorkingDir: workdir }),
    ...(user === undefined ? {} : { User: user }),
    ...(command === undefined ? {} : { Cmd: command }),
  }
}

/** Kept as far as it tells of each layer what the layers are; engines refuse one that does not fit them. */
function historyOf(history: unknown, layers: number, entry: JsonObject): { readonly history?: readonly unknown[] } {
  const before = Array.isArray(history) ? history : []
  const told = before.filter((step) => isObject(step) && step['empty_layer'] !== true).length
  if (told !== layers) return {}
  const empty = before.length + 1 - MAX_HISTORY
  return { history: [...dropEmpty(before, empty), entry] }
}

/** Of a long history the oldest entries that made no layer go. */
function dropEmpty(history: readonly unknown[], count: number): readonly unknown[] {
  let left = count
  return history.filter((step) => !(isObject(step) && step['empty_layer'] === true && left-- > 0))
}
