import { CoveError } from '@cove/domain'
import { asStdout, attached, type Attached } from './attached.ts'
import {
  toChangeBody,
  toContainer,
  toCreateBody,
  toSummary,
  type Container,
  type ContainerChange,
  type ContainerSpec,
  type ContainerSummary,
  type Created,
} from './containers.ts'
import { toContainerStats, type ContainerStats } from './container-stats.ts'
import type { EngineAddress } from './engine-address.ts'
import { EngineConnection } from './engine-connection.ts'
import { eventsOf, type EngineEvent } from './engine-events.ts'
import { toEngineInfo, type EngineInfo } from './engine-info.ts'
import { toExecBody, toExecState, type ExecSpec, type ExecState } from './execs.ts'
import { progressOf, toImage, toImageSummary, type Image, type ImageSummary, type PullProgress } from './images.ts'
import { toList, toNumber, toObject, toText, toTexts } from './json.ts'
import { toPathStat, type PathStat } from './path-stat.ts'
import { demultiplex, type EngineStream } from './stdcopy.ts'

/** The oldest and newest version of the API that is spoken. 1.41 is Docker 20.10. */
const OLDEST = 41
const NEWEST = 47

/**
 * A small client of the Docker Engine API (https://docs.docker.com/reference/api/engine/), which Podman's service
 * speaks too. Containers and images are named by id or name. Every failure is a `CoveError`: `container-not-found`,
 * `image-not-found`, `already-exists`, `wrong-state`, `invalid-argument`, `permission-denied`, `no-space`,
 * `driver-failed` for the rest, `cancelled` when the signal aborts.
 */
export interface DockerEngine extends Disposable {
  readonly version: string
  /** As in `1.41`. */
  readonly apiVersion: string
  /** Where it listens. */
  readonly address: EngineAddress

  info(signal?: AbortSignal): Promise<EngineInfo>

  createContainer(spec: ContainerSpec, signal?: AbortSignal): Promise<Created>
  /** One that runs is no error. */
  startContainer(container: string, signal?: AbortSignal): Promise<void>
  /** TERM, then KILL after `graceSeconds`. One that has ended is no error. */
  stopContainer(container: string, graceSeconds: number, signal?: AbortSignal): Promise<void>
  /** By number or name. */
  signalContainer(container: string, signalName: string, signal?: AbortSignal): Promise<void>
  pauseContainer(container: string, signal?: AbortSignal): Promise<void>
  resumeContainer(container: string, signal?: AbortSignal): Promise<void>
  /** `already-exists` when the name is taken. */
  renameContainer(container: string, name: string, signal?: AbortSignal): Promise<void>
  /** Whether it runs or not. */
  changeContainer(container: string, change: ContainerChange, signal?: AbortSignal): Promise<void>
  /** Of this moment; fails with `wrong-state` for one that does not run. */
  containerStats(container: string, signal?: AbortSignal): Promise<ContainerStats>
  /** Ends it too, and removes its anonymous volumes. One that is gone is no error. */
  removeContainer(container: string, signal?: AbortSignal): Promise<void>
  inspectContainer(container: string, signal?: AbortSignal): Promise<Container>
  /** Ended ones too. All of these labels; an empty value means that the label is there. */
  listContainers(labels: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<readonly ContainerSummary[]>
  /** Its exit code, when it has ended. */
  waitContainer(container: string, signal?: AbortSignal): Promise<number>
  /**
   * Of its first process. With `follow` it ends with the container. `terminal` says that it has one: then everything is
   * `stdout`.
   */
  containerLogs(
    container: string,
    options: { readonly follow: boolean; readonly tail?: number; readonly terminal?: boolean },
    signal?: AbortSignal,
  ): Promise<AsyncIterable<EngineStream>>
  /** Its first process. Attach before the start to miss nothing. Without `output` only stdin is held. */
  attachContainer(
    container: string,
    options: { readonly terminal: boolean; readonly stdin: boolean; readonly output?: boolean },
    signal?: AbortSignal,
  ): Promise<Attached>
  /** Unpacks a tar archive into a directory of the container, which need not run. */
  putArchive(
    container: string,
    path: string,
    archive: AsyncIterable<Uint8Array> | Uint8Array,
    signal?: AbortSignal,
  ): Promise<void>
  /** A file or directory as a tar archive. */
  getArchive(container: string, path: string, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>>

  /** What is there; undefined when nothing is. Of a link, the link, with its target resolved inside the container. */
  statPath(container: string, path: string, signal?: AbortSignal): Promise<PathStat | undefined>
  /** Its processes as the `ps` of the engine's host tells them: one list of the columns' texts for each. */
  listProcesses(container: string, psArguments: string, signal?: AbortSignal): Promise<readonly (readonly string[])[]>
  /**
   * What happens to a container from `sinceSeconds` (Unix time of the engine; it remembers its last few hundred events),
   * until `untilSeconds`, or until it is told to end. `actions` such as `exec_die`, `oom`, `die`.
   */
  containerEvents(
    container: string,
    options: { readonly actions: readonly string[]; readonly sinceSeconds?: number; readonly untilSeconds?: number },
    signal?: AbortSignal,
  ): AsyncIterable<EngineEvent>

  /** The same for all containers that have these labels. */
  labelledEvents(
    labels: Readonly<Record<string, string>>,
    options: { readonly actions: readonly string[]; readonly sinceSeconds?: number },
    signal?: AbortSignal,
  ): AsyncIterable<EngineEvent>

  createExec(container: string, spec: ExecSpec, signal?: AbortSignal): Promise<string>
  startExec(exec: string, spec: ExecSpec, signal?: AbortSignal): Promise<Attached>
  inspectExec(exec: string, signal?: AbortSignal): Promise<ExecState>
  resizeExec(exec: string, rows: number, columns: number, signal?: AbortSignal): Promise<void>

  inspectImage(image: string, signal?: AbortSignal): Promise<Image>
  /** Progress until it is there. `platform` such as `linux/amd64`. */
  pullImage(image: string, options: { readonly platform?: string }, signal?: AbortSignal): AsyncIterable<PullProgress>
  /** A root file system as a tar archive becomes an image of this name. */
  importImage(
    name: string,
    archive: AsyncIterable<Uint8Array> | Uint8Array,
    changes: readonly string[],
    signal?: AbortSignal,
  ): Promise<void>
  /** What `docker save` writes. */
  loadImage(archive: AsyncIterable<Uint8Array>, signal?: AbortSignal): AsyncIterable<PullProgress>
  /** What a container has written becomes an image over the container's own; answers its id. */
  commitContainer(
    container: string,
    options: {
      readonly repository: string
      readonly tag: string
      /** Freezes the container while it is read. */
      readonly pause: boolean
      readonly labels?: Readonly<Record<string, string>>
    },
    signal?: AbortSignal,
  ): Promise<string>
  /** As `docker save` writes it: all layers. */
  saveImage(image: string, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  /** A further name. */
  tagImage(image: string, repository: string, tag: string, signal?: AbortSignal): Promise<void>
  /** Those whose names match a pattern such as `cove/x:*`, or that have all of these labels. */
  listImages(
    filter: { readonly reference: string } | { readonly labels: Readonly<Record<string, string>> },
    signal?: AbortSignal,
  ): Promise<readonly ImageSummary[]>
  /** Removes a name; the image too, when it has no other. One that is gone is no error. */
  removeImage(image: string, signal?: AbortSignal): Promise<void>
  /** One that is gone is no error. */
  removeVolume(name: string, signal?: AbortSignal): Promise<void>
  /** One that is there already is no error. */
  createVolume(name: string, labels: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<void>
  listVolumes(
    labels: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<readonly { readonly name: string; readonly labels: Readonly<Record<string, string>> }[]>
}

/** Connects, and agrees on a version. `driver-failed` when no engine answers there. */
export async function openDockerEngine(address: EngineAddress, signal?: AbortSignal): Promise<DockerEngine> {
  const connection = new EngineConnection(address)
  try {
    const told = toObject(await connection.json({ method: 'GET', path: '/version', signal }), 'version')
    const apiVersion = agree(toText(told, 'ApiVersion'), toText(told, 'MinAPIVersion'))
    connection.prefix = `/v${apiVersion}`
    return new Engine(connection, address, toText(told, 'Version'), apiVersion)
  } catch (error) {
    connection.close()
    throw error
  }
}

function agree(newest: string, oldest: string): string {
  const theirs = minor(newest)
  if (theirs >= OLDEST && minor(oldest) <= NEWEST) return `1.${Math.min(theirs, NEWEST)}`
  throw new CoveError(
    'unsupported',
    `the Docker Engine speaks API ${oldest} to ${newest}, and 1.${OLDEST} to 1.${NEWEST} are known`,
    {},
    { fix: 'Use Docker 20.10 or later.' },
  )
}

function minor(version: string): number {
  const found = /^1\.(\d+)$/.exec(version)?.[1]
  if (found === undefined) throw new CoveError('driver-failed', `the Docker Engine has the API version ${version}`)
  return Number(found)
}

class Engine implements DockerEngine {
  readonly version: string
  readonly apiVersion: string
  readonly address: EngineAddress
  readonly #connection: EngineConnection

  constructor(connection: EngineConnection, address: EngineAddress, version: string, apiVersion: string) {
    this.#connection = connection
    this.address = address
    this.version = version
    this.apiVersion = apiVersion
  }

  async info(signal?: AbortSignal): Promise<EngineInfo> {
    return toEngineInfo(await this.#connection.json({ method: 'GET', path: '/info', signal }))
  }

  async createContainer(spec: ContainerSpec, signal?: AbortSignal): Promise<Created> {
    const query = { name: spec.name }
    const path = '/containers/create'
    const told = await this.#connection.json({ method: 'POST', path, query, json: toCreateBody(spec), signal })
    const object = toObject(told, 'container')
    return { id: toText(object, 'Id'), warnings: toList(object['Warnings'], 'Warnings').map(String) }
  }

  startContainer(container: string, signal?: AbortSignal): Promise<void> {
    return this.#do('POST', `/containers/${part(container)}/start`, {}, signal)
  }

  stopContainer(container: string, graceSeconds: number, signal?: AbortSignal): Promise<void> {
    return this.#do('POST', `/containers/${part(container)}/stop`, { t: Math.ceil(graceSeconds) }, signal)
  }

  signalContainer(container: string, signalName: string, signal?: AbortSignal): Promise<void> {
    return this.#do('POST', `/containers/${part(container)}/kill`, { signal: signalName }, signal)
  }

  pauseContainer(container: string, signal?: AbortSignal): Promise<void> {
    return this.#do('POST', `/containers/${part(container)}/pause`, {}, signal)
  }

  resumeContainer(container: string, signal?: AbortSignal): Promise<void> {
    return this.#do('POST', `/containers/${part(container)}/unpause`, {}, signal)
  }

  renameContainer(container: string, newName: string, signal?: AbortSignal): Promise<void> {
    return this.#do('POST', `/containers/${part(container)}/rename`, { name: newName }, signal)
  }

  async changeContainer(container: string, change: ContainerChange, signal?: AbortSignal): Promise<void> {
    const path = `/containers/${part(container)}/update`
    await this.#connection.json({ method: 'POST', path, json: toChangeBody(change), signal })
  }

  async containerStats(container: string, signal?: AbortSignal): Promise<ContainerStats> {
    const path = `/containers/${part(container)}/stats`
    const query = { stream: false, 'one-shot': true }
    return toContainerStats(await this.#connection.json({ method: 'GET', path, query, signal }))
  }

  async removeContainer(container: string, signal?: AbortSignal): Promise<void> {
    await unlessGone(this.#do('DELETE', `/containers/${part(container)}`, { force: true, v: true }, signal))
  }

  async inspectContainer(container: string, signal?: AbortSignal): Promise<Container> {
    return toContainer(
      await this.#connection.json({ method: 'GET', path: `/containers/${part(container)}/json`, signal }),
    )
  }

  async listContainers(
    labels: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<readonly ContainerSummary[]> {
    const query = { all: true, filters: JSON.stringify({ label: labelFilter(labels) }) }
    const told = await this.#connection.json({ method: 'GET', path: '/containers/json', query, signal })
    return toList(told, 'containers').map(toSummary)
  }

  async waitContainer(container: string, signal?: AbortSignal): Promise<number> {
    const path = `/containers/${part(container)}/wait`
    const told = await this.#connection.json({ method: 'POST', path, query: { condition: 'not-running' }, signal })
    return toNumber(toObject(told, 'wait'), 'StatusCode')
  }

  async containerLogs(
    container: string,
    { follow, tail, terminal }: { readonly follow: boolean; readonly tail?: number; readonly terminal?: boolean },
    signal?: AbortSignal,
  ): Promise<AsyncIterable<EngineStream>> {
    const query = { stdout: true, stderr: true, follow, tail: tail ?? 'all' }
    const path = `/containers/${part(container)}/logs`
    const answer = await this.#connection.stream({ method: 'GET', path, query, signal })
    return terminal === true ? asStdout(answer) : demultiplex(answer)
  }

  async attachContainer(
    container: string,
    {
      terminal,
      stdin,
      output = true,
    }: { readonly terminal: boolean; readonly stdin: boolean; readonly output?: boolean },
    signal?: AbortSignal,
  ): Promise<Attached> {
    const query = { stream: true, stdout: output, stderr: output, stdin }
    const path = `/containers/${part(container)}/attach`
    return attached(await this.#connection.hijack({ method: 'POST', path, query, signal }), terminal)
  }

  async putArchive(
    container: string,
    path: string,
    archive: AsyncIterable<Uint8Array> | Uint8Array,
    signal?: AbortSignal,
  ): Promise<void> {
    const to = `/containers/${part(container)}/archive`
    await this.#connection.json({ method: 'PUT', path: to, query: { path }, body: archive, signal })
  }

  async getArchive(container: string, path: string, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const from = `/containers/${part(container)}/archive`
    return this.#connection.stream({ method: 'GET', path: from, query: { path }, signal })
  }

  async statPath(container: string, path: string, signal?: AbortSignal): Promise<PathStat | undefined> {
    const from = `/containers/${part(container)}/archive`
    try {
      const answer = await this.#connection.stream({ method: 'HEAD', path: from, query: { path }, signal })
      answer.resume()
      return toPathStat(answer.headers['x-docker-container-path-stat'])
    } catch (error) {
      // A container that is not there is an error of whoever asks; a HEAD has no body that says which of both it is.
      if (!(error instanceof CoveError) || error.code !== 'container-not-found') throw error
      await this.inspectContainer(container, signal)
      return undefined
    }
  }

  async listProcesses(
    container: string,
    psArguments: string,
    signal?: AbortSignal,
  ): Promise<readonly (readonly string[])[]> {
    const path = `/containers/${part(container)}/top`
    const query = { ps_args: psArguments }
    const told = toObject(await this.#connection.json({ method: 'GET', path, query, signal }), 'top')
    return toList(told['Processes'], 'Processes').map((row) => toList(row, 'Processes').map(String))
  }

  async *containerEvents(
    container: string,
    options: { readonly actions: readonly string[]; readonly sinceSeconds?: number; readonly untilSeconds?: number },
    signal?: AbortSignal,
  ): AsyncGenerator<EngineEvent> {
    const filters = JSON.stringify({ type: ['container'], container: [container], event: options.actions })
    const query = { filters, since: options.sinceSeconds, until: options.untilSeconds }
    const answer = await this.#connection.stream({ method: 'GET', path: '/events', query, signal })
    yield* eventsOf(answer)
  }

  async *labelledEvents(
    labels: Readonly<Record<string, string>>,
    options: { readonly actions: readonly string[]; readonly sinceSeconds?: number },
    signal?: AbortSignal,
  ): AsyncGenerator<EngineEvent> {
    const filters = JSON.stringify({ type: ['container'], label: labelFilter(labels), event: options.actions })
    const query = { filters, since: options.sinceSeconds }
    yield* eventsOf(await this.#connection.stream({ method: 'GET', path: '/events', query, signal }))
  }

  async createExec(container: string, spec: ExecSpec, signal?: AbortSignal): Promise<string> {
    const path = `/containers/${part(container)}/exec`
    return toText(
      toObject(await this.#connection.json({ method: 'POST', path, json: toExecBody(spec), signal }), 'exec'),
      'Id',
    )
  }

  async startExec(exec: string, spec: ExecSpec, signal?: AbortSignal): Promise<Attached> {
    const terminal = spec.terminal ?? false
    const path = `/exec/${part(exec)}/start`
    const json = { Detach: false, Tty: terminal }
    return attached(await this.#connection.hijack({ method: 'POST', path, json, signal }), terminal)
  }

  async inspectExec(exec: string, signal?: AbortSignal): Promise<ExecState> {
    return toExecState(await this.#connection.json({ method: 'GET', path: `/exec/${part(exec)}/json`, signal }))
  }

  resizeExec(exec: string, rows: number, columns: number, signal?: AbortSignal): Promise<void> {
    return this.#do('POST', `/exec/${part(exec)}/resize`, { h: rows, w: columns }, signal)
  }

  async inspectImage(image: string, signal?: AbortSignal): Promise<Image> {
    return toImage(await this.#connection.json({ method: 'GET', path: `/images/${name(image)}/json`, signal }))
  }

  async *pullImage(
    image: string,
    { platform }: { readonly platform?: string },
    signal?: AbortSignal,
  ): AsyncGenerator<PullProgress> {
    // Without a tag the engine pulls all of them.
    const isExact = image.includes('@') || /:[^/]+$/.test(image)
    const query = { fromImage: isExact ? image : `${image}:latest`, platform }
    yield* progressOf(await this.#connection.stream({ method: 'POST', path: '/images/create', query, signal }))
  }

  async importImage(
    reference: string,
    archive: AsyncIterable<Uint8Array> | Uint8Array,
    changes: readonly string[],
    signal?: AbortSignal,
  ): Promise<void> {
    const [, repo = reference, tag = 'latest'] = /^(.+?)(?::([^/:]+))?$/.exec(reference) ?? []
    const parameters = new URLSearchParams({ fromSrc: '-', repo, tag })
    for (const change of changes) parameters.append('changes', change)
    const path = `/images/create?${parameters.toString()}`
    const answer = await this.#connection.stream({ method: 'POST', path, body: archive, signal })
    for await (const _step of progressOf(answer)) continue
  }

  async *loadImage(archive: AsyncIterable<Uint8Array>, signal?: AbortSignal): AsyncGenerator<PullProgress> {
    yield* progressOf(await this.#connection.stream({ method: 'POST', path: '/images/load', body: archive, signal }))
  }

  async commitContainer(
    container: string,
    {
      repository,
      tag,
      pause,
      labels = {},
    }: {
      readonly repository: string
      readonly tag: string
      readonly pause: boolean
      readonly labels?: Readonly<Record<string, string>>
    },
    signal?: AbortSignal,
  ): Promise<string> {
    const query = { container, repo: repository, tag, pause }
    const json = { Labels: labels }
    const told = await this.#connection.json({ method: 'POST', path: '/commit', query, json, signal })
    return toText(toObject(told, 'image'), 'Id')
  }

  saveImage(image: string, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    return this.#connection.stream({ method: 'GET', path: `/images/${name(image)}/get`, signal })
  }

  tagImage(image: string, repository: string, tag: string, signal?: AbortSignal): Promise<void> {
    return this.#do('POST', `/images/${name(image)}/tag`, { repo: repository, tag }, signal)
  }

  async listImages(
    filter: { readonly reference: string } | { readonly labels: Readonly<Record<string, string>> },
    signal?: AbortSignal,
  ): Promise<readonly ImageSummary[]> {
    const filters = 'labels' in filter ? { label: labelFilter(filter.labels) } : { reference: [filter.reference] }
    const query = { filters: JSON.stringify(filters) }
    const told = await this.#connection.json({ method: 'GET', path: '/images/json', query, signal })
    return toList(told, 'images').map(toImageSummary)
  }

  async removeImage(image: string, signal?: AbortSignal): Promise<void> {
    await unlessGone(this.#do('DELETE', `/images/${name(image)}`, {}, signal))
  }

  async createVolume(volume: string, labels: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<void> {
    const json = { Name: volume, Labels: labels }
    await this.#connection.json({ method: 'POST', path: '/volumes/create', json, signal })
  }

  async listVolumes(
    labels: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<readonly { readonly name: string; readonly labels: Readonly<Record<string, string>> }[]> {
    const query = { filters: JSON.stringify({ label: labelFilter(labels) }) }
    const told = toObject(await this.#connection.json({ method: 'GET', path: '/volumes', query, signal }), 'volumes')
    return toList(told['Volumes'], 'Volumes').map((value) => {
      const volume = toObject(value, 'volume')
      return { name: toText(volume, 'Name'), labels: toTexts(volume['Labels'], 'Labels') }
    })
  }

  async removeVolume(volume: string, signal?: AbortSignal): Promise<void> {
    await unlessGone(this.#do('DELETE', `/volumes/${part(volume)}`, {}, signal))
  }

  [Symbol.dispose](): void {
    this.#connection.close()
  }

  async #do(
    method: 'POST' | 'DELETE',
    path: string,
    query: Readonly<Record<string, string | number | boolean>>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await this.#connection.json({ method, path, query, signal })
  }
}

const part = (text: string): string => encodeURIComponent(text)
/** As the engine wants them in filters: an empty value means that the label is there. */
const labelFilter = (labels: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(labels).map(([label, value]) => (value === '' ? label : `${label}=${value}`))
/** Names of images have slashes, which the engine wants as they are. */
const name = (image: string): string => image.split('/').map(encodeURIComponent).join('/')

async function unlessGone(removal: Promise<void>): Promise<void> {
  try {
    await removal
  } catch (error) {
    const { code, message } = CoveError.from(error)
    if (code === 'container-not-found' || code === 'image-not-found') return
    // Somebody else removes it at this moment.
    if (code === 'wrong-state' && message.includes('already in progress')) return
    throw error
  }
}
