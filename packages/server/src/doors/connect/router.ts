import type { DescMethod, DescService } from '@bufbuild/protobuf'
import { FileService, ProcessService, SandboxService, SystemService, TemplateService } from '@cove/api'
import { CoveError, type Log } from '@cove/domain'
import {
  createConnectRouter,
  createContextKey,
  type ConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from '@connectrpc/connect'
import type { ServerLimits } from '../../options.ts'
import type { Exchange } from '../exchange.ts'
import type { Call, Methods } from './call.ts'
import { stackOf } from '../stack-of.ts'
import { toConnectError } from './connect-error.ts'

export interface AllMethods {
  readonly sandboxes: Methods<typeof SandboxService>
  readonly processes: Methods<typeof ProcessService>
  readonly files: Methods<typeof FileService>
  readonly templates: Methods<typeof TemplateService>
  readonly system: Methods<typeof SystemService>
}

export const exchangeKey = createContextKey<Exchange | undefined>(undefined)

/** All services behind Connect, gRPC and gRPC-Web. `closing` ends the streams when the server closes. */
export function buildRouter(all: AllMethods, limits: ServerLimits, closing: AbortSignal, log: Log): ConnectRouter {
  const router = createConnectRouter({
    acceptCompression: [],
    readMaxBytes: limits.unaryBytes,
    requestGate: (context) => checkRequest(context, limits.unaryBytes),
  })
  const add = <Service extends DescService>(service: Service, methods: Methods<Service>): void => {
    router.service(service, adaptService(service, methods, closing, log))
  }
  add(SandboxService, all.sandboxes)
  add(ProcessService, all.processes)
  add(FileService, all.files)
  add(TemplateService, all.templates)
  add(SystemService, all.system)
  return router
}

/** Runs before anything of the body is read. */
function checkRequest({ values, requestHeader }: HandlerContext, unaryBytes: number): void {
  const exchange = values.get(exchangeKey)
  const requestId = exchange?.requestId ?? ''
  if (exchange?.principal === undefined) {
    throw toConnectError(new CoveError('unauthenticated', 'a valid API key is needed'), requestId)
  }
  const length = Number(requestHeader.get('content-length') ?? 0)
  if (length > unaryBytes) throw toConnectError(tooLarge(unaryBytes), requestId)
}

export function tooLarge(limit: number): CoveError {
  return new CoveError('payload-too-large', `a request may have at most ${limit} bytes`, { limit })
}

type AnyMethod = (request: unknown, call: Call) => Promise<unknown> | AsyncIterable<unknown>

function adaptService<Service extends DescService>(
  service: Service,
  methods: Methods<Service>,
  closing: AbortSignal,
  log: Log,
): ServiceImpl<Service> {
  const adapted = service.methods.map((method) => {
    const run = methods[method.localName as keyof Methods<Service>] as AnyMethod
    return [
      method.localName,
      method.methodKind === 'unary' ? unary(run, method, log) : stream(run, method, closing, log),
    ]
  })
  return Object.fromEntries(adapted) as ServiceImpl<Service>
}

function unary(run: AnyMethod, method: DescMethod, log: Log) {
  return async (request: unknown, context: HandlerContext): Promise<unknown> => {
    const call = callOf(context, context.signal)
    try {
      return await run(request, call)
    } catch (error) {
      report(error, method, call, log)
      throw toConnectError(error, call.requestId)
    }
  }
}

function stream(run: AnyMethod, method: DescMethod, closing: AbortSignal, log: Log) {
  return async function* streamed(request: unknown, context: HandlerContext): AsyncGenerator {
    const call = callOf(context, AbortSignal.any([context.signal, closing]))
    try {
      yield* run(request, call) as AsyncIterable<unknown>
    } catch (error) {
      const told = closing.aborted ? closing.reason : error
      report(told, method, call, log)
      throw toConnectError(told, call.requestId)
    }
  }
}

function callOf({ values }: HandlerContext, signal: AbortSignal): Call {
  const { principal, requestId = '' } = values.get(exchangeKey) ?? {}
  if (principal === undefined) throw toConnectError(new CoveError('unauthenticated', 'an API key is needed'), requestId)
  return { project: principal.project, requestId, signal }
}

/** What nobody expected is for whoever runs the server; the rest is between the caller and the method. */
function report(thrown: unknown, method: DescMethod, { requestId }: Call, log: Log): void {
  const error = CoveError.from(thrown)
  const fields = {
    method: `${method.parent.typeName}/${method.name}`,
    requestId,
    code: error.code,
    error: error.message,
  }
  if (error.code === 'internal') log.error('a call failed', { ...fields, stack: stackOf(error) })
  else log.debug('a call was refused', fields)
}
