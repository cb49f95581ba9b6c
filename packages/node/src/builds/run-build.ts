import { posix } from 'node:path'
import {
  CoveError,
  describeStep,
  type BuildRequest,
  type BuildStep,
  type CommitRequest,
  type CreateContext,
  type FetchProgress,
  type ImageDefaults,
  type ImageId,
  type ImageLease,
  type TemplateRoot,
} from '@cove/domain'
import { runStartCommand } from '../start-command.ts'
import { throwIfAborted } from '../wait.ts'
import type { BuildLog } from './build-log.ts'
import { BuildMachine, ROOT } from './build-machine.ts'
import type { BuildParts } from './build-parts.ts'
import type { Contexts } from './contexts.ts'
import { runCommand } from './run-command.ts'
import type { StepCache } from './step-cache.ts'

export interface BuildRoom {
  readonly parts: BuildParts
  readonly contexts: Contexts
  readonly cache: StepCache
  readonly log: BuildLog
  readonly signal: AbortSignal
}

/** What the next step is done over; nothing but the host before the first image. */
interface Base {
  readonly parent: ImageId | 'host'
  readonly root: TemplateRoot
  readonly defaults: ImageDefaults
  readonly lease?: ImageLease
}

/** Does all the steps and answers with the image, which the caller has to let go. */
export async function runBuild(room: BuildRoom, request: BuildRequest): Promise<ImageLease> {
  const { parts, cache, log, signal } = room
  let base = await openBase(room, request)
  try {
    for (const [index, asked] of request.steps.entries()) {
      throwIfAborted(signal)
      const step = settled(asked, base.defaults)
      const known = request.noCache === true ? undefined : await cache.find(base.parent, step)
      await log.step(index, describeStep(asked), known !== undefined)
      const lease = known ?? (await carryOut(room, request, base, step))
      const next = ofLease(lease)
      base.lease?.[Symbol.dispose]()
      const { parent } = base
      base = next
      if (known === undefined) await cache.keep(parent, step, lease.info.id)
    }
    if (base.lease === undefined)
      base = ofLease(await commit(room, { parent: 'host', comment: 'nothing but the host' }))
    await tryStart(room, request, base)
    const { lease } = base
    if (lease === undefined) throw new CoveError('internal', 'a build has ended without an image')
    parts.log.info('template built', { build: request.id, image: lease.info.id })
    return lease
  } catch (thrown) {
    base.lease?.[Symbol.dispose]()
    throw thrown
  }
}

async function openBase(room: BuildRoom, request: BuildRequest): Promise<Base> {
  const { parts, signal } = room
  const { from } = request
  switch (from.kind) {
    case 'host':
      return { parent: 'host', root: { kind: 'host' }, defaults: { env: {}, command: [] } }
    case 'image':
      return ofLease(await parts.images.lease(from.image))
    case 'source':
      return ofLease(await parts.images.fetch(from.source, { signal, progress: intoLog(room) }))
    case 'snapshot':
      throw new CoveError(
        'unsupported',
        'a template cannot be built from a memory snapshot',
        {},
        {
          fix: 'Build from a filesystem snapshot, a template or a source.',
        },
      )
  }
}

function ofLease(lease: ImageLease): Base {
  return { parent: lease.info.id, root: lease.root, defaults: lease.info.defaults, lease }
}

/** Progress in words, each only once. */
function intoLog({ log }: BuildRoom): (progress: FetchProgress) => void {
  let last = ''
  return ({ step }) => {
    if (step === last) return
    last = step
    void log.append(`${step}\n`).catch(() => {})
  }
}

async function carryOut(room: BuildRoom, request: BuildRequest, base: Base, step: BuildStep): Promise<ImageLease> {
  const { parent, defaults } = base
  switch (step.kind) {
    case 'env':
      return await commit(room, {
        parent,
        defaults: { env: { ...defaults.env, ...step.env } },
        comment: describeStep(step),
      })
    case 'workdir':
      return await workdirStep(room, request, base, step.path)
    case 'user':
      return await commit(room, { parent, defaults: { user: step.user }, comment: describeStep(step) })
    case 'copy': {
      using _held = await room.contexts.hold(step.context)
      const tar = room.contexts.read(step.context)
      const owner = step.owner === undefined ? {} : { owner: step.owner }
      return await commit(room, {
        parent,
        content: { kind: 'files', tar, at: step.to, ...owner },
        comment: describeStep(step),
      })
    }
    case 'run':
      return await runStep(room, request, base, step.command)
  }
}

async function runStep(room: BuildRoom, request: BuildRequest, base: Base, command: string): Promise<ImageLease> {
  return await inMachine(room, request, base, async (machine, context) => {
    await runCommand(machine.guest, command, room.log, room.signal)
    await using content = await machine.read(context)
    return await commit(room, { parent: base.parent, content, comment: describeStep({ kind: 'run', command }) })
  })
}

/** The directory is made where it is missing, since nothing could start in it otherwise. */
async function workdirStep(room: BuildRoom, request: BuildRequest, base: Base, path: string): Promise<ImageLease> {
  const change = { parent: base.parent, defaults: { workdir: path }, comment: describeStep({ kind: 'workdir', path }) }
  return await inMachine(room, request, base, async (machine, context) => {
    const as = { user: ROOT }
    try {
      await machine.guest.stat(path, as, room.signal)
      return await commit(room, change)
    } catch (thrown) {
      if (CoveError.from(thrown).code !== 'file-not-found') throw thrown
    }
    await machine.guest.makeDirectory(path, { ...as, parents: true }, room.signal)
    await using content = await machine.read(context)
    return await commit(room, { ...change, content })
  })
}

async function inMachine<T>(
  room: BuildRoom,
  request: BuildRequest,
  base: Base,
  work: (machine: BuildMachine, context: CreateContext) => Promise<T>,
): Promise<T> {
  const context = { signal: room.signal, progress: (): void => {} }
  const wish = { ...request, from: base.root, defaults: base.defaults }
  await using machine = await BuildMachine.open(room.parts, wish, context)
  try {
    return await work(machine, context)
  } catch (thrown) {
    throwIfAborted(room.signal)
    throw await machine.explain(thrown)
  }
}

async function tryStart(room: BuildRoom, request: BuildRequest, base: Base): Promise<void> {
  const { start, steps } = request
  if (start === undefined) return
  const { parts, log, signal } = room
  await log.step(steps.length, `start ${short(start.argv.join(' '))}`, false)
  await inMachine(room, request, base, async (machine) => {
    await runStartCommand(parts, machine.guest, start, signal)
    await log.append('the start command is ready\n')
  })
}

async function commit(
  { parts, signal, log }: BuildRoom,
  request: Omit<CommitRequest, 'signal' | 'progress'>,
): Promise<ImageLease> {
  try {
    return await parts.images.commit({ ...request, signal, progress: () => {} })
  } catch (thrown) {
    throwIfAborted(signal)
    const error = CoveError.from(thrown)
    await log.append(`${error.message}\n`)
    throw error
  }
}

/** The step with what it takes from the image: relative paths become absolute. */
function settled(step: BuildStep, { workdir = '/' }: ImageDefaults): BuildStep {
  switch (step.kind) {
    case 'copy':
      return { ...step, to: posix.resolve(workdir, step.to) }
    case 'workdir':
      return { ...step, path: posix.resolve(workdir, step.path) }
    default:
      return step
  }
}

const LONGEST = 160

function short(text: string): string {
  const line = text.trim().replaceAll(/[\p{Cc}\s]+/gu, ' ')
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line
}
