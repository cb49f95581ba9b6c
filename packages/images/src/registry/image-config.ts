import { posix } from 'node:path'
import { CoveError } from '@cove/domain'
import { isDigest } from '../reference/digest.ts'
import type { ImageConfig } from './image-source.ts'
import { isObject, parseJson, toOptionalText, toTexts } from './json.ts'
import { toPlatform } from './manifest.ts'
import { normalizePlatform } from './platform.ts'

/** Bytes of an image's configuration. */
export const MAX_CONFIG = 4 * 1024 * 1024

/** Reads the configuration of the OCI image specification, or Docker's, of which it came. */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const body = parseJson(bytes, 'the configuration of the image')
  const { config, rootfs } = body
  if (!isObject(rootfs)) throw new CoveError('image-invalid', 'the configuration of the image names no layers')
  const diffIds = toTexts(rootfs['diff_ids'], 'diff_ids')
  if (!diffIds.every(isDigest)) throw new CoveError('image-invalid', 'a diff_id of the image is no digest')
  const defaults = isObject(config) ? config : {}
  const workdir = toOptionalText(defaults['WorkingDir'], 'WorkingDir') ?? ''
  const user = toOptionalText(defaults['User'], 'User') ?? ''
  return {
    platform: normalizePlatform(toPlatform(body)),
    diffIds,
    defaults: {
      env: toVariables(toTexts(defaults['Env'], 'Env')),
      ...(workdir === '' ? {} : { workdir: posix.resolve('/', workdir) }),
      ...(user === '' ? {} : { user }),
      command: [...toTexts(defaults['Entrypoint'], 'Entrypoint'), ...toTexts(defaults['Cmd'], 'Cmd')],
    },
  }
}

/** `NAME=value` texts; what has no name means nothing. */
function toVariables(texts: readonly string[]): Readonly<Record<string, string>> {
  const variables = texts.map((text): readonly [string, string] => {
    const mark = text.indexOf('=')
    return mark < 0 ? [text, ''] : [text.slice(0, mark), text.slice(mark + 1)]
  })
  return Object.fromEntries(variables.filter(([name]) => name !== ''))
}
