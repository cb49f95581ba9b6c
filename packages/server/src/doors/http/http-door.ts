import { CoveError, type Log, type Random } from '@cove/domain'
import type { AuditNote, CallAuditor } from '../../audit/call-auditor.ts'
import { unauthenticated } from '../../auth/credentials.ts'
import { requireRole, type Principal } from '../../auth/principal.ts'
import type { MetricsRegistry } from '../../metrics/registry.ts'
import type { ServerLimits } from '../../options.ts'
import type { Ports } from '../../ports/ports.ts'
import type { Sandboxes } from '../../sandboxes/sandboxes.ts'
import type { Snapshots } from '../../snapshots/snapshots.ts'
import type { Templates } from '../../templates/templates.ts'
import type { Door, Upgrade } from '../door.ts'
import type { Exchange } from '../exchange.ts'
import { logFailure } from '../log-failure.ts'
import { StatusError, answerError } from '../json-error.ts'
import { getOutput, postProcess } from './event-stream.ts'
import { getFile, putFile } from './files.ts'
import { Query, decode } from './query.ts'
import { allowEveryOrigin, isSignedQuery, signer, type SignedFiles } from './signed-file.ts'
import { getArchive, postArchive } from './snapshot-archive.ts'
import { headContext, putContext } from './template-context.ts'
import { TUNNEL, openTunnel } from './tunnel.ts'

export interface HttpDoorOptions {
  readonly sandboxes: Sandboxes
  readonly ports: Ports
  readonly templates: Templates
  readonly snapshots: Snapshots
  readonly auditor: CallAuditor
  readonly signed: SignedFiles
  readonly random: Random
  readonly limits: ServerLimits
  readonly metrics: MetricsRegistry
  /** Why it takes no work yet, or undefined when it does. */
  readonly notReady: () => Promise<string | undefined>
  readonly closing: AbortSignal
  readonly log: Log
}

const SANDBOX_PATH = /^\/v1\/sandboxes\/([^/]{1,256})\/(files|processes)(?:\/([^/]{1,256})\/output)?$/

const CONTEXT_PATH = /^\/v1\/template-contexts\/([^/]{1,256})$/

const SNAPSHOTS_PATH = /^\/v1\/snapshots(?:\/([^/]{1,256})\/archive)?$/

const PORT_PATH = /^\/v1\/sandboxes\/([^/]{1,256})\/ports\/([0-9]{1,5})$/

/** The plain HTTP paths: health, metrics, file content, archives of snapshots, event streams, tunnels. */
export class HttpDoor implements Door {
  readonly name = 'http'
  readonly #options: HttpDoorOptions

  constructor(options: HttpDoorOptions) {
    this.#options = options
  }

  /** What no other door serves. */
  serves(): boolean {
    return true
  }

  isOpen(path: string): boolean {
    return path === '/healthz' || path === '/readyz' || path === '/openapi.json'
  }

  isSigned(path: string, query: string): boolean {
    return isSignedQuery(query) && SANDBOX_PATH.exec(path)?.[2] === 'files'
  }

  async handle(exchange: Exchange): Promise<void> {
    try {
      await this.#route(exchange)
    } catch (thrown) {
      this.#refuse(exchange, thrown)
    }
  }

  async upgrade(upgrade: Upgrade): Promise<void> {
    const [, sandbox, port] = PORT_PATH.exec(upgrade.path) ?? []
    if (sandbox === undefined) throw notFound(upgrade.path)
    await openTunnel(upgrade, decode(sandbox, 'sandbox'), Number(port), this.#options)
  }

  async #route(exchange: Exchange): Promise<void> {
    const { path, principal } = exchange
    const { metrics } = this.#options
    if (path === '/healthz') return text(exchange, 200, 'ok\n')
    if (path === '/readyz') {
      const reason = await this.#options.notReady()
      return text(exchange, reason === undefined ? 200 : 503, `${reason ?? 'ready'}\n`)
    }
    if (path === '/openapi.json') {
      // Large, and asked for by few: not loaded with the server.
      const { OPENAPI } = await import('@cove/api/openapi')
      return text(exchange, 200, OPENAPI, 'application/json')
    }
    if (this.isSigned(path, exchange.query)) return this.#routeSigned(exchange)
    if (principal === undefined) throw exchange.refusal ?? unauthenticated()
    if (path === '/metrics') {
      if (principal.sandbox !== undefined) requireRole(principal, 'admin')
      return text(exchange, 200, metrics.render(), 'text/plain; version=0.0.4; charset=utf-8')
    }
    if (PORT_PATH.test(path)) throw upgradeNeeded(exchange)
    const context = CONTEXT_PATH.exec(path)?.[1]
    if (context !== undefined) return this.#routeContext(exchange, principal, decode(context, 'digest'))
    if (SNAPSHOTS_PATH.test(path)) return this.#routeSnapshots(exchange, principal)
    return this.#routeSandbox(exchange, principal)
  }

  /** An address that opens one file by itself. */
  async #routeSigned(exchange: Exchange): Promise<void> {
    const { path, request, response } = exchange
    allowEveryOrigin(exchange)
    if (request.method === 'OPTIONS') {
      response.statusCode = 204
      response.end()
      return
    }
    const sandbox = decode(SANDBOX_PATH.exec(path)?.[1] ?? '', 'sandbox')
    const principal = await signer(exchange, sandbox, new Query(exchange.query), this.#options.signed)
    if (request.headers.expect !== undefined) response.writeContinue()
    return this.#routeSandbox(exchange, principal)
  }

  async #routeContext(exchange: Exchange, principal: Principal, digest: string): Promise<void> {
    const { templates, limits } = this.#options
    requireRole(principal, 'member')
    switch (exchange.request.method) {
      case 'HEAD':
        return headContext(exchange, templates, principal, digest)
      case 'PUT':
        return putContext(exchange, templates, principal, digest, limits.stalledUploadMs)
      default:
        throw notFound(exchange.path)
    }
  }

  async #routeSnapshots(exchange: Exchange, principal: Principal): Promise<void> {
    const { path, request } = exchange
    const { snapshots, limits } = this.#options
    const query = new Query(exchange.query)
    const [, ref] = SNAPSHOTS_PATH.exec(path) ?? []
    const asked = { snapshots, caller: principal, query, stalledMs: limits.stalledUploadMs }
    if (ref !== undefined && request.method === 'GET') {
      const id = decode(ref, 'snapshot')
      return this.#audited(exchange, principal, 'snapshots/export', id, { format: query.text('format') }, (note) =>
        getArchive(exchange, id, { ...asked, onBegun: () => note.ok({}) }),
      )
    }
    if (ref !== undefined || request.method !== 'POST') throw notFound(path)
    return this.#audited(exchange, principal, 'snapshots/import', '', { name: query.text('name') }, (note) =>
      postArchive(exchange, { ...asked, onMade: ({ id }) => note.ok({ id }) }),
    )
  }

  async #routeSandbox(exchange: Exchange, principal: Principal): Promise<void> {
    const { path, request } = exchange
    const [, sandboxPart, what, process] = SANDBOX_PATH.exec(path) ?? []
    if (sandboxPart === undefined) throw notFound(path)
    const { sandboxes, limits, random, closing } = this.#options
    const sandbox = decode(sandboxPart, 'sandbox')
    const query = new Query(exchange.query)
    const route = `${request.method ?? ''} ${what}${process === undefined ? '' : '/output'}`
    const file = { sandboxes, caller: principal, sandbox, query, stalledMs: limits.stalledUploadMs }
    const { keepAliveMs } = limits
    const ending = principal.ended === undefined ? closing : AbortSignal.any([closing, principal.ended])
    const body = { bytes: limits.unaryBytes, ms: limits.unaryBodyMs }
    const stream = { sandboxes, caller: principal, sandbox, random, closing: ending, keepAliveMs, body }
    switch (route) {
      case 'GET files':
      case 'HEAD files':
        requireRole(principal, 'viewer')
        return getFile(exchange, file)
      case 'PUT files': {
        const signed = this.isSigned(path, exchange.query) ? 'true' : undefined
        const facts = { path: query.text('path'), user: query.text('user'), signed }
        return this.#audited(exchange, principal, 'files/put', sandbox, facts, (note) =>
          putFile(exchange, { ...file, onWritten: () => note.ok(undefined) }),
        )
      }
      case 'POST processes':
        return this.#audited(exchange, principal, 'processes/start', sandbox, {}, (note) =>
          postProcess(exchange, { ...stream, onStarted: () => note.ok(undefined) }),
        )
      case 'GET processes/output':
        requireRole(principal, 'viewer')
        return getOutput(exchange, decode(process ?? '', 'process'), query, stream)
      default:
        throw notFound(path)
    }
  }

  /** Runs what changes something: only for whoever may, and written down however it ends. */
  async #audited(
    { requestId, from }: Exchange,
    caller: Principal,
    action: string,
    target: string,
    facts: Readonly<Record<string, string | undefined>>,
    run: (note: AuditNote) => Promise<void>,
  ): Promise<void> {
    const { auditor } = this.#options
    const call = { caller, requestId, from }
    const note = action.startsWith('snapshots/')
      ? auditor.onOther(action, target, facts, call)
      : auditor.onSandbox(action, target, facts, call)
    try {
      requireRole(caller, 'member')
      await run(note)
    } catch (error) {
      const told: unknown = caller.ended?.aborted === true ? caller.ended.reason : error
      note.failed(told instanceof StatusError ? told.error : told)
      throw told
    }
  }

  #refuse(exchange: Exchange, thrown: unknown): void {
    const { requestId, path } = exchange
    const error = thrown instanceof StatusError ? thrown.error : CoveError.from(thrown)
    logFailure(this.#options.log, error, { requestId, path })
    answerError(exchange, thrown)
  }
}

function notFound(path: string): StatusError {
  const message = `there is nothing at ${JSON.stringify(path.slice(0, 120))} with that method`
  return new StatusError(404, new CoveError('unsupported', message, {}, { fix: 'docs/api.md lists the paths.' }))
}

function upgradeNeeded({ response }: Exchange): StatusError {
  response.setHeader('upgrade', TUNNEL)
  const fix = `Send "Connection: Upgrade" and "Upgrade: ${TUNNEL}" with HTTP/1.1, or use \`cove forward\`.`
  return new StatusError(426, new CoveError('unsupported', 'a tunnel needs an upgrade of its connection', {}, { fix }))
}

function text({ request, response }: Exchange, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.statusCode = status
  response.setHeader('content-type', type)
  response.setHeader('content-length', Buffer.byteLength(body))
  response.end(request.method === 'HEAD' ? '' : body)
}
