import { setTimeout as delay } from 'node:timers/promises'
import { CoveError } from '@cove/domain'
import type { Attached, Container, ContainerSpec, DockerEngine, Image } from '@cove/docker-engine'
import { formatOwner, ownerFate, parseOwner, readHere, thisProcess, type ContainerOwner } from './container-owner.ts'
import { DEFAULT_PATH } from '../environment/environment-layers.ts'
import { findInContainer } from './find-in-container.ts'
import { KIND, LABEL, planContainer } from './container-plan.ts'
import { readContainerLogs } from './container-logs.ts'
import type { DockerEnvironmentOptions } from './docker-options.ts'
import { createPaused } from './pause-container.ts'
import { PullWords } from './pull-words.ts'
import { sweepContainers } from './sweep-containers.ts'

/** How often somebody else may get in between. */
const TRIES = 20
const TRY_AGAIN_MS = 100
const SETTLES_WITHIN_MS = 150
const SAID_LINES = 5

export interface BroughtUp {
  readonly container: Container
  /** Of processes in it, whatever the container's own is. */
  readonly owner: ContainerOwner
  readonly how: 'created' | 'reused' | 'started again' | 'recreated'
  /** As long as it is there, the container pauses. */
  readonly holding: Attached | undefined
}

interface Bringing {
  readonly engine: DockerEngine
  readonly options: DockerEnvironmentOptions
  readonly spec: ContainerSpec
  readonly image: Image
  readonly signal: AbortSignal
  readonly progress: (step: string) => void
}

/**
 * The container of these options, running: found by its name where it is as it should be, made anew where not. What it
 * has made is removed again when it fails.
 */
export async function bringUpContainer(
  engine: DockerEngine,
  options: DockerEnvironmentOptions,
  signal: AbortSignal,
  progress: (step: string) => void,
): Promise<BroughtUp> {
  const me = await whoAmI(options)
  const owner: ContainerOwner = options.owner === 'durable' ? 'durable' : me
  // What is wrong with the options is said before anything is pulled.
  planContainer(options, { owner, imageId: '' })
  if (me !== 'durable') await sweepContainers(engine, { installation: options.installation, here: me, signal })
  const image = await ensureImage(engine, options, signal, progress)
  const { address } = engine
  const socket = address.kind === 'unix' ? address.path : undefined
  const spec = planContainer(options, { owner, imageId: image.id, socket })
  const bringing: Bringing = { engine, options, spec, image, signal, progress }
  let recreated = false
  for (let tries = 0; tries < TRIES; tries += 1) {
    signal.throwIfAborted()
    const found = await find(engine, spec.name ?? '', signal)
    if (found !== undefined && !(await isUsable(found, spec))) {
      progress(`removing ${found.name}, which is configured otherwise`)
      await engine.removeContainer(found.id, signal)
      recreated = true
      continue
    }
    const up = found === undefined ? await make(bringing) : await takeUp(bringing, found)
    if (up !== undefined) return { ...up, owner: me, how: recreated && up.how === 'created' ? 'recreated' : up.how }
    await delay(TRY_AGAIN_MS, undefined, { signal })
  }
  throw new CoveError('busy', `somebody else keeps making and removing the container ${spec.name}`)
}

type Up = Omit<BroughtUp, 'owner'>

/** Where nothing tells which process is which, what runs in a durable container belongs to no process. */
async function whoAmI({ owner }: DockerEnvironmentOptions): Promise<ContainerOwner> {
  try {
    return await thisProcess()
  } catch (error) {
    if (owner === 'durable') return owner
    throw error
  }
}

async function ensureImage(
  engine: DockerEngine,
  { image, platform }: DockerEnvironmentOptions,
  signal: AbortSignal,
  progress: (step: string) => void,
): Promise<Image> {
  try {
    return await engine.inspectImage(image, signal)
  } catch (error) {
    if (!isCode(error, 'image-not-found')) throw error
  }
  const words = new PullWords(image, progress)
  for await (const step of engine.pullImage(image, platform === undefined ? {} : { platform }, signal)) words.step(step)
  words.end()
  return await engine.inspectImage(image, signal)
}

/** Whether it is the one that is wanted. `already-exists` for one that is not ours to change. */
async function isUsable(found: Container, { labels = {} }: ContainerSpec): Promise<boolean> {
  const isOurs = found.labels[LABEL.kind] === KIND && found.labels[LABEL.installation] === labels[LABEL.installation]
  const owner = isOurs ? parseOwner(found.labels[LABEL.owner]) : undefined
  if (owner === undefined) throw taken(found, 'it belongs to somebody else')
  // `a/b` and `a-b` make the same name of a container.
  const name = found.labels[LABEL.name] ?? ''
  if (name !== labels[LABEL.name]) throw taken(found, `it is that of ${JSON.stringify(name)}`)
  if (owner !== 'durable' && formatOwner(owner) !== labels[LABEL.owner]) {
    if ((await ownerFate(owner, await readHere())) !== 'dead') throw taken(found, `process ${owner.pid} has it`)
    return false
  }
  return found.labels[LABEL.config] === labels[LABEL.config]
}

function taken({ name, id }: Container, why: string): CoveError {
  return new CoveError(
    'already-exists',
    `there is a container ${name} already, and ${why}`,
    { container: id.slice(0, 12) },
    { fix: 'Use another name, or remove it with `docker rm`.' },
  )
}

/** Undefined when somebody else was quicker. */
async function make(bringing: Bringing): Promise<Up | undefined> {
  const { engine, options, spec, signal, progress } = bringing
  progress(`creating the container ${spec.name}`)
  let id: string
  try {
    id =
      options.pause === true
        ? await createPaused(engine, spec, isEphemeral(options), signal)
        : (await engine.createContainer(spec, signal)).id
  } catch (error) {
    if (signal.aborted) await removeHalfMade(engine, spec)
    if (isCode(error, 'already-exists')) return undefined
    throw error
  }
  try {
    const up = await start(bringing, id)
    return up === undefined ? undefined : { ...up, how: 'created' }
  } catch (error) {
    await engine.removeContainer(id)
    throw error
  }
}

/** The engine may have made it and not come to say so. */
async function removeHalfMade(engine: DockerEngine, { name = '', labels = {} }: ContainerSpec): Promise<void> {
  const found = await find(engine, name).catch(() => undefined)
  if (found?.state !== 'created') return
  const same = (label: string): boolean => found.labels[label] === labels[label]
  if (same(LABEL.owner) && same(LABEL.config) && same(LABEL.installation)) await engine.removeContainer(found.id)
}

/** Undefined when it has gone in the meantime. */
async function takeUp(bringing: Bringing, found: Container): Promise<Up | undefined> {
  const { engine, signal, progress } = bringing
  switch (found.state) {
    case 'running':
      return { container: found, how: 'reused', holding: undefined }
    case 'paused':
      await engine.resumeContainer(found.id, signal)
      return undefined
    case 'removing':
    case 'restarting':
      return undefined
    case 'dead':
      await engine.removeContainer(found.id, signal)
      return undefined
    case 'created':
    case 'exited':
      break
  }
  progress(`starting the container ${found.name}`)
  try {
    const up = await start(bringing, found.id)
    return up === undefined ? undefined : { ...up, how: 'started again' }
  } catch (error) {
    if (found.state === 'exited') {
      await engine.stopContainer(found.id, 0).catch(() => {})
      throw error
    }
    if (signal.aborted) throw error
    // Whoever made it was ended before it had ever run.
    await engine.removeContainer(found.id)
    return undefined
  }
}

async function start(
  { engine, options, spec, image, signal }: Bringing,
  id: string,
): Promise<Omit<Up, 'how'> | undefined> {
  let holding: Attached | undefined
  try {
    if (options.pause !== true) await needProgram(engine, id, spec, image, signal)
    // It ends with this connection, and so with this process, however that ends.
    if (options.pause === true && isEphemeral(options)) {
      holding = await engine.attachContainer(id, { terminal: false, stdin: true, output: false }, signal)
    }
    await engine.startContainer(id, signal)
    if (options.pause !== true) await settled(engine, id, signal)
    const container = await engine.inspectContainer(id, signal)
    if (container.state !== 'running') throw await endedAtOnce(engine, container)
    return { container, holding }
  } catch (error) {
    holding?.[Symbol.dispose]()
    if (isCode(error, 'container-not-found')) return undefined
    throw error
  }
}

/** The init of the container would be started well, and then not find it. */
async function needProgram(
  engine: DockerEngine,
  id: string,
  { entrypoint, command }: ContainerSpec,
  image: Image,
  signal: AbortSignal,
): Promise<void> {
  // As the engine puts them together: an entrypoint of one's own goes without the image's command.
  const words = [...(entrypoint ?? image.entrypoint), ...(command ?? (entrypoint === undefined ? image.command : []))]
  const program = words[0]
  if (program === undefined)
    throw new CoveError('invalid-argument', `the image ${image.tags[0] ?? image.id} has no command`)
  const { env, workingDirectory } = await engine.inspectContainer(id, signal)
  const where = { path: env['PATH'] ?? DEFAULT_PATH, directory: workingDirectory === '' ? '/' : workingDirectory }
  if ((await findInContainer(engine, id, program, where, signal)) !== undefined) return
  throw new CoveError('command-not-found', `the container has no program ${program}`, { program })
}

/** A moment, or until it has ended: what ends at once is told by `init`. */
async function settled(engine: DockerEngine, id: string, signal: AbortSignal): Promise<void> {
  const moment = AbortSignal.timeout(SETTLES_WITHIN_MS)
  try {
    await engine.waitContainer(id, AbortSignal.any([signal, moment]))
  } catch (error) {
    if (!moment.aborted || signal.aborted) throw error
  }
}

async function endedAtOnce(engine: DockerEngine, { id, name, exitCode, error }: Container): Promise<CoveError> {
  const said: string[] = []
  if (error !== '') said.push(error)
  try {
    for await (const { text } of readContainerLogs(engine, id, { tail: SAID_LINES })) said.push(text)
  } catch {
    // Its words are a help, not the matter.
  }
  const words = said.length === 0 ? '' : `: ${said.join(' ').slice(0, 500)}`
  return new CoveError(
    'driver-failed',
    `the container ${name} ended as soon as it was started, with code ${exitCode}${words}`,
    { exitCode },
    { fix: 'Give it a command that stays up, or let it `pause`.' },
  )
}

const isEphemeral = (options: DockerEnvironmentOptions): boolean => options.owner !== 'durable'

async function find(engine: DockerEngine, name: string, signal?: AbortSignal): Promise<Container | undefined> {
  try {
    return await engine.inspectContainer(name, signal)
  } catch (error) {
    if (isCode(error, 'container-not-found')) return undefined
    throw error
  }
}

function isCode(error: unknown, code: CoveError['code']): boolean {
  return error instanceof CoveError && error.code === code
}
