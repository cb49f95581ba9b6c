import { CoveError, type ErrorCode } from '@cove/domain'
import { isFullDisk, isMissingImage } from './engine-error.ts'
import { toList, toNumber, toObject, toText, toTexts, toVariables, type JsonObject } from './json.ts'

export interface Image {
  readonly id: string
  readonly tags: readonly string[]
  readonly architecture: string
  readonly sizeBytes: number
  readonly env: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly entrypoint: readonly string[]
  readonly command: readonly string[]
  readonly workingDirectory: string
  readonly user: string
  /** Digests of its layers' archives, not compressed, the lowest first. */
  readonly layers: readonly string[]
}

export interface ImageSummary {
  readonly id: string
  readonly tags: readonly string[]
  readonly labels: Readonly<Record<string, string>>
}

export function toImageSummary(value: unknown): ImageSummary {
  const object = toObject(value, 'image')
  return {
    id: toText(object, 'Id'),
    tags: toList(object['RepoTags'], 'RepoTags').map(String),
    labels: toTexts(object['Labels'], 'Labels'),
  }
}

export interface PullProgress {
  /** What happens, as the engine says it, for example `Downloading`. */
  readonly status: string
  /** Short id of the layer; empty when the whole is meant. */
  readonly layer: string
  readonly currentBytes?: number
  readonly totalBytes?: number
}

export function toImage(value: unknown): Image {
  const object = toObject(value, 'image')
  const config = toObject(object['Config'] ?? {}, 'Config')
  return {
    id: toText(object, 'Id'),
    tags: toList(object['RepoTags'], 'RepoTags').map(String),
    architecture: toText(object, 'Architecture'),
    sizeBytes: toNumber(object, 'Size'),
    env: toVariables(config['Env']),
    labels: toTexts(config['Labels'], 'Labels'),
    entrypoint: toList(config['Entrypoint'], 'Entrypoint').map(String),
    command: toList(config['Cmd'], 'Cmd').map(String),
    workingDirectory: optionalText(config, 'WorkingDir'),
    user: optionalText(config, 'User'),
    layers: toList(toObject(object['RootFS'] ?? {}, 'RootFS')['Layers'], 'Layers').map(String),
  }
}

function optionalText(object: JsonObject, name: string): string {
  const value = object[name]
  return typeof value === 'string' ? value : ''
}

/** Bytes of one line of progress; the engine's are a few hundred. */
const LINE_BYTES = 1024 * 1024

/** The lines of a long operation. An error in one of them is the operation's. */
export async function* progressOf(answer: AsyncIterable<unknown>): AsyncGenerator<PullProgress> {
  for await (const line of jsonLines(answer)) {
    const problem = line['error']
    if (typeof problem === 'string') {
      throw new CoveError(codeOf(problem), `Docker: ${problem}`)
    }
    const detail = toObject(line['progressDetail'] ?? {}, 'progressDetail')
    yield {
      status: optionalText(line, 'status') || optionalText(line, 'stream'),
      layer: optionalText(line, 'id'),
      ...(typeof detail['current'] === 'number' ? { currentBytes: detail['current'] } : {}),
      ...(typeof detail['total'] === 'number' ? { totalBytes: detail['total'] } : {}),
    }
  }
}

function codeOf(problem: string): ErrorCode {
  if (isFullDisk(problem)) return 'no-space'
  return isMissingImage(problem) ? 'image-not-found' : 'driver-failed'
}

/** One JSON object per line, as they come. */
export async function* jsonLines(answer: AsyncIterable<unknown>): AsyncGenerator<JsonObject> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > LINE_BYTES) throw new CoveError('driver-failed', "the Docker Engine's progress has no line ends")
    for (const line of lines) if (line.trim() !== '') yield parse(line)
  }
  if (rest.trim() !== '') yield parse(rest)
}

function parse(line: string): JsonObject {
  try {
    return toObject(JSON.parse(line), 'progress')
  } catch (cause) {
    throw CoveError.from(cause, 'driver-failed')
  }
}
