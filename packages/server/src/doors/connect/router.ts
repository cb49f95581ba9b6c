import type { DescMethod, DescService } from '@bufbuild/protobuf'
import {
  FileService,
  IdentityService,
  ImageService,
  PoolService,
  PortService,
  ProcessService,
  SandboxService,
  SnapshotService,
  SystemService,
  TemplateService,
  VolumeService,
} from '@cove/api'
import { Health, ServerReflection, ServerReflectionAlpha } from '@cove/api/grpc'
import { CoveError, type Log } from '@cove/domain'
import {
  createConnectRouter,
  createContextKey,
  type ConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from '@connectrpc/connect'
import type { CallAuditor } from '../../audit/call-auditor.ts'
import { unauthenticated } from '../../auth/credentials.ts'
import { neededRole } from '../../auth/permissions.ts'
import { requireRole } from '../../auth/principal.ts'
import type { ServerLimits } from '../../options.ts'
import { authorityOf, type Exchange } from '../exchange.ts'
import type { Call, Methods } from './call.ts'
import { logFailure } from '../log-failure.ts'
import { tooLarge } from '../read-body.ts'
import { toConnectError } from './connect-error.ts'
import { healthService } from './health.ts'
import { reflectionServices } from './reflection.ts'
import type { UnaryMethod } from './unary-lane.ts'

export interface AllMethods {
  readonly sandboxes: Methods<typeof SandboxService>
  readonly snapshots: Methods<typeof SnapshotService>
  readonly volumes: Methods<typeof VolumeService>
  readonly images: Methods<typeof ImageService>
  readonly pools: Methods<typeof PoolService>
  readonly processes: Methods<typeof ProcessService>
  readonly files: Methods<typeof FileService>
  readonly ports: Methods<typeof PortService>
  readonly identity: Methods<typeof IdentityService>
  readonly templates: Methods<typeof TemplateService>
  readonly system: Methods<typeof SystemService>
}

export const exchangeKey = createContextKey<Exchange | undefined>(undefined)

export interface Services {
  /** All of them behind Connect, gRPC and gRPC-Web. */
  readonly router: ConnectRouter
  /** The unary methods by path. */
  readonly unary: ReadonlyMap<string, UnaryMethod>
}

export interface ServiceOptions {
  readonly limits: ServerLimits
  /** Why no work is taken, or undefined when it is. */
  readonly notReady: () => Promise<string | undefined>
  /** Ends the streams when the server closes. */
  readonly closing: AbortSignal
  readonly auditor: CallAuditor
  readonly log: Log
}

export function buildServices(all: AllMethods, options: ServiceOptions): Services {
  const { limits, notReady, closing } = options
  const services: DescService[] = []
  const lane = new Map<string, UnaryMethod>()
  const router = createConnectRouter({
    acceptCompression: [],
    // A misspelt field would be taken for its absence, and what it asks for would be missing without a word.
    jsonOptions: { ignoreUnknownFields: false },
    readMaxBytes: limits.unaryBytes,
    requestGate: (context) => checkRequest(context, limits.unaryBytes),
  })
  const add = <Service extends DescService>(service: Service, methods: Methods<Service>): void => {
    services.push(service)
    const adapted = service.methods.map((method) => {
      const run = methods[method.localName as keyof Methods<Service>] as AnyMethod
      if (method.methodKind !== 'unary') return [method.localName, stream(run, method, options)]
      const told = reporting(run, method, options)
      lane.set(`/${service.typeName}/${method.name}`, { input: method.input, output: method.output, run: told })
      return [method.localName, unary(told)]
    })
    router.service(service, Object.fromEntries(adapted) as ServiceImpl<Service>)
  }
  add(SandboxService, all.sandboxes)
  add(SnapshotService, all.snapshots)
  add(VolumeService, all.volumes)
  add(ImageService, all.images)
  add(PoolService, all.pools)
  add(ProcessService, all.processes)
  add(FileService, all.files)
  add(PortService, all.ports)
  add(IdentityService, all.identity)
  add(TemplateService, all.templates)
  add(SystemService, all.system)
  const names = new Set([...services, Health].map(({ typeName }) => typeName))
  router.service(Health, healthService({ services: names, notReady, closing }))
  const reflection = reflectionServices([...services, Health, ServerReflection, ServerReflectionAlpha])
  router.service(ServerReflection, reflection.v1)
  router.service(ServerReflectionAlpha, reflection.v1alpha)
  return { router, unary: lane }
}

/** Whether it answers without a key: what orchestrators ask has no secrets and changes nothing. */
export const isOpenService = (typeName: string): boolean => typeName === Health.typeName

/** Runs before anything of the body is read. */
function checkRequest({ values, requestHeader, service }: HandlerContext, unaryBytes: number): void {
  const exchange = values.get(exchangeKey)
  const requestId = exchange?.requestId ?? ''
  if (exchange?.principal === undefined && !isOpenService(service.typeName)) {
    throw toConnectError(exchange?.refusal ?? unauthenticated(), requestId)
  }
  const length = Number(requestHeader.get('content-length') ?? 0)
  if (length > unaryBytes) throw toConnectError(tooLarge(unaryBytes), requestId)
}

function checkRole(method: DescMethod, { caller }: Call): void {
  requireRole(caller, neededRole(method.parent.typeName, method.name))
}

type AnyMethod = (request: unknown, call: Call) => Promise<unknown> | AsyncIterable<unknown>

function reporting(run: AnyMethod, method: DescMethod, { auditor, log }: ServiceOptions): UnaryMethod['run'] {
  const begin = auditor.method(method.parent.typeName, method.name)
  return async (request, call) => {
    const note = begin?.(request, call)
    try {
      checkRole(method, call)
      const answer = await run(request, { ...call, happened: () => note?.ok({}) })
      note?.ok(answer)
      return answer
    } catch (error) {
      const { ended } = call.caller
      const told: unknown = ended?.aborted === true ? ended.reason : error
      note?.failed(told)
      report(told, method, call, log)
      throw told
    }
  }
}

function unary(run: UnaryMethod['run']) {
  return async (request: unknown, context: HandlerContext): Promise<unknown> => {
    const call = callOf(context, [])
    try {
      return await run(request, call)
    } catch (error) {
      throw toConnectError(error, call.requestId)
    }
  }
}

function stream(run: AnyMethod, method: DescMethod, { auditor, closing, log }: ServiceOptions) {
  const begin = auditor.method(method.parent.typeName, method.name)
  return async function* streamed(request: unknown, context: HandlerContext): AsyncGenerator {
    const { ended } = context.values.get(exchangeKey)?.principal ?? {}
    const call = callOf(context, [closing])
    const note = begin?.(request, call)
    try {
      checkRole(method, call)
      for await (const message of run(request, call) as AsyncIterable<unknown>) {
        // What was asked for has happened; the rest is watching it.
        note?.ok(message)
        yield message
      }
    } catch (error) {
      const told: unknown = closing.aborted ? closing.reason : ended?.aborted === true ? ended.reason : error
      note?.failed(told)
      report(told, method, call, log)
      throw toConnectError(told, call.requestId)
    }
  }
}

function callOf({ values, signal: gone }: HandlerContext, also: readonly AbortSignal[]): Call {
  const exchange = values.get(exchangeKey)
  const { principal, refusal, requestId = '' } = exchange ?? {}
  if (exchange === undefined || principal === undefined) throw toConnectError(refusal ?? unauthenticated(), requestId)
  const ends = [gone, ...also, ...(principal.ended === undefined ? [] : [principal.ended])]
  const signal = ends.length === 1 ? gone : AbortSignal.any(ends)
  const { from } = exchange
  return { caller: principal, requestId, from, host: authorityOf(exchange.request), signal }
}

function report(thrown: unknown, method: DescMethod, { requestId }: Call, log: Log): void {
  logFailure(log, CoveError.from(thrown), { method: `${method.parent.typeName}/${method.name}`, requestId })
}
