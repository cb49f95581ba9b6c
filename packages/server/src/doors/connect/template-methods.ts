import type { MessageInitShape } from '@bufbuild/protobuf'
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt'
import type {
  BuildStep as WireStep,
  BuildTemplateRequest,
  FollowBuildResponseSchema,
  ReadyCheck as WireReady,
  StartCommand as WireStart,
  TemplateSchema,
  TemplateService,
} from '@cove/api'
import type { BuildStep, ReadyCheck, StartCommand } from '@cove/domain'
import { bad, checkEnv, checkLimits } from '../../sandboxes/request.ts'
import type { FollowedEvent } from '../../templates/template-builds.ts'
import type { MemoryRecord } from '../../templates/template-record.ts'
import type { BuildTemplate, KnownTemplate, Templates } from '../../templates/templates.ts'
import type { ServerLimits } from '../../options.ts'
import type { Methods } from './call.ts'
import { checkPath, checkRef, parseLimits, parseMilliseconds, parseNetwork } from './from-wire.ts'
import { withKeepAlive } from './keep-alive.ts'
import { toLimits, toNetwork } from './to-wire.ts'

const STEPS = 512
const COMMAND_BYTES = 64 * 1024
const READY_MS = 60_000
const DESCRIPTION = 1_000
const LARGEST_ID = 0xffff_fffe

type WireEvent = MessageInitShape<typeof FollowBuildResponseSchema>

export function templateMethods(templates: Templates, limits: ServerLimits): Methods<typeof TemplateService> {
  return {
    async listTemplates(_request, { caller, signal }) {
      const [known, drivers] = await Promise.all([templates.list(caller), templates.drivers(signal)])
      return { templates: known.map((template) => toTemplate(template, drivers)) }
    },
    async getTemplate({ name }, { caller, signal }) {
      const [known, drivers] = await Promise.all([
        templates.get(caller, checkRef(name, 'name')),
        templates.drivers(signal),
      ])
      return { template: toTemplate(known, drivers) }
    },
    async buildTemplate(request, { caller }) {
      return { build: await templates.build(caller, parseBuild(request)) }
    },
    async *followBuild({ build, offset }, { caller, signal }) {
      const drivers = await templates.drivers(signal)
      const events = wireEvents(templates.follow(caller, build, Number(offset), signal), drivers)
      yield* withKeepAlive<WireEvent>(events, limits.keepAliveMs, () => ({ event: { case: 'keepAlive', value: {} } }))
    },
    async cancelBuild({ build }, { caller }) {
      await templates.cancel(caller, build)
      return {}
    },
    async deleteTemplate({ name }, { caller }) {
      await templates.delete(caller, name)
      return {}
    },
  }
}

function parseBuild(request: BuildTemplateRequest): BuildTemplate {
  const { name, source, steps, description, noCache, driver } = request
  if (steps.length > STEPS) throw bad('steps', `has more than ${STEPS} entries`)
  if (description.length > DESCRIPTION) throw bad('description', `is longer than ${DESCRIPTION} characters`)
  const limits = parseLimits(request.limits)
  const buildLimits = parseLimits(request.buildLimits)
  checkLimits(limits)
  checkLimits(buildLimits)
  const start = parseStart(request.start)
  return {
    name,
    source,
    steps: steps.map((step, index) => parseStep(step, `steps[${index}]`)),
    ...(start === undefined ? {} : { start }),
    limits: Object.fromEntries(Object.entries(limits).map(([key, { value }]) => [key, { value, required: false }])),
    description,
    noCache,
    ...(driver === '' ? {} : { driver }),
    network: parseNetwork(request.network),
    buildLimits,
    ...(request.memory ? { memory: { network: parseNetwork(request.memoryNetwork) } } : {}),
  }
}

function parseStep({ step }: WireStep, field: string): BuildStep {
  switch (step.case) {
    case 'run':
      if (step.value.trim() === '') throw bad(`${field}.run`, 'is empty')
      checkText(step.value, `${field}.run`, COMMAND_BYTES)
      return { kind: 'run', command: step.value }
    case 'copy': {
      const { context, to, uid, gid } = step.value
      if (!/^sha256:[0-9a-f]{64}$/.test(context)) throw bad(`${field}.copy.context`, 'is not sha256: and 64 hex digits')
      checkRelative(to, `${field}.copy.to`)
      checkId(uid, `${field}.copy.uid`)
      checkId(gid, `${field}.copy.gid`)
      const owner = uid === undefined && gid === undefined ? {} : { owner: { uid: uid ?? 0, gid: gid ?? uid ?? 0 } }
      return { kind: 'copy', context, to, ...owner }
    }
    case 'env':
      checkEnv(step.value.env, `${field}.env`)
      if (Object.keys(step.value.env).length === 0) throw bad(`${field}.env`, 'names no variable')
      return { kind: 'env', env: step.value.env }
    case 'workdir':
      checkRelative(step.value, `${field}.workdir`)
      return { kind: 'workdir', path: step.value }
    case 'user':
      if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?$/.test(step.value)) {
        throw bad(`${field}.user`, 'is not a name or a number, with `:group` or without')
      }
      return { kind: 'user', user: step.value }
    default:
      throw bad(field, 'says nothing to be done')
  }
}

function parseStart(start: WireStart | undefined): StartCommand | undefined {
  if (start === undefined) return undefined
  checkArgv(start.argv, 'start.argv')
  const ready = parseReady(start.ready)
  return { argv: start.argv, ...(ready === undefined ? {} : { ready }) }
}

function parseReady(ready: WireReady | undefined): ReadyCheck | undefined {
  if (ready === undefined) return undefined
  const { port, command } = ready
  const timeoutMs = parseMilliseconds(ready.timeout, 'start.ready.timeout') ?? READY_MS
  if (timeoutMs < 1) throw bad('start.ready.timeout', 'must be at least 1 ms')
  if (port !== 0 && command.length > 0) throw bad('start.ready', 'names a port and a command: one of them is enough')
  if (port > 65_535) throw bad('start.ready.port', 'must be 1 to 65,535')
  if (port !== 0) return { kind: 'port', port, timeoutMs }
  checkArgv(command, 'start.ready.command')
  return { kind: 'command', argv: command, timeoutMs }
}

function checkArgv(argv: readonly string[], field: string): void {
  if (argv.length === 0 || argv[0] === '') throw bad(field, 'must name a program')
  checkText(argv.join(' '), field, COMMAND_BYTES)
}

function checkText(text: string, field: string, bytes: number): void {
  if (text.includes('\0')) throw bad(field, 'must not contain NUL')
  if (Buffer.byteLength(text) > bytes) throw bad(field, `is longer than ${bytes} bytes`)
}

/** Absolute, or relative to the working directory of the moment. */
function checkRelative(path: string, field: string): void {
  if (path === '') throw bad(field, 'is missing')
  checkPath(path.startsWith('/') ? path : `/${path}`, field)
}

function checkId(id: number | undefined, field: string): void {
  if (id !== undefined && id > LARGEST_ID) throw bad(field, `must be at most ${LARGEST_ID}`)
}

function toTemplate(known: KnownTemplate, drivers: readonly string[]): MessageInitShape<typeof TemplateSchema> {
  if ('fixed' in known) return { ...known.fixed, drivers: [...drivers] }
  const {
    name,
    tag,
    source,
    description,
    image,
    build,
    bytes,
    createdAt,
    env,
    workdir,
    user,
    start,
    limits,
    platform,
  } = known.record
  return {
    name,
    tag,
    source,
    description,
    drivers: [...drivers],
    image,
    build,
    bytes: BigInt(bytes),
    createdAt: timestampFromMs(createdAt),
    env: { ...env },
    workdir: workdir ?? '',
    user: user ?? '',
    ...(start === undefined ? {} : { start: toStart(start) }),
    limits: toLimits(limits),
    platform,
    steps: [...known.record.steps],
    ...(known.record.memory === undefined ? {} : { memory: toMemory(known.record.memory) }),
  }
}

function toMemory(memory: MemoryRecord) {
  const { driver, limits, network, bytes, createdAt, problem = '' } = memory
  return {
    driver,
    limits: toLimits(limits),
    network: toNetwork(network),
    bytes: BigInt(bytes),
    createdAt: timestampFromMs(createdAt),
    problem,
  }
}

function toStart({ argv, ready }: StartCommand) {
  if (ready === undefined) return { argv: [...argv] }
  const timeout = durationFromMs(ready.timeoutMs)
  const check = ready.kind === 'port' ? { port: ready.port } : { command: [...ready.argv] }
  return { argv: [...argv], ready: { ...check, timeout } }
}

async function* wireEvents(
  events: AsyncIterable<FollowedEvent>,
  drivers: readonly string[],
): AsyncGenerator<WireEvent> {
  for await (const event of events) yield toEvent(event, drivers)
}

function toEvent(event: FollowedEvent, drivers: readonly string[]): WireEvent {
  switch (event.type) {
    case 'step': {
      const { index, text, cached } = event
      return { event: { case: 'step', value: { index, text, cached } } }
    }
    case 'log':
      return { event: { case: 'log', value: { offset: BigInt(event.offset), text: event.text } } }
    case 'done':
      return { event: { case: 'done', value: toTemplate({ record: event.template }, drivers) } }
    case 'failed': {
      const { code, message, fix } = event
      return { event: { case: 'failed', value: { code, message, fix } } }
    }
  }
}
