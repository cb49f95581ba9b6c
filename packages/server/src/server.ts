import type { AddressInfo } from 'node:net'
import { CoveError } from '@cove/domain'
import { CallAuditor } from './audit/call-auditor.ts'
import { MemoryAudit } from './audit/memory-audit.ts'
import { Authenticator } from './auth/authenticator.ts'
import { OriginCheck } from './auth/origin-check.ts'
import { ConnectDoor } from './doors/connect/connect-door.ts'
import { fileMethods } from './doors/connect/file-methods.ts'
import { identityMethods } from './doors/connect/identity-methods.ts'
import { portMethods } from './doors/connect/port-methods.ts'
import { processMethods } from './doors/connect/process-methods.ts'
import { buildServices } from './doors/connect/router.ts'
import { sandboxMethods } from './doors/connect/sandbox-methods.ts'
import { imageMethods } from './doors/connect/image-methods.ts'
import { poolMethods } from './doors/connect/pool-methods.ts'
import { snapshotMethods } from './doors/connect/snapshot-methods.ts'
import { volumeMethods } from './doors/connect/volume-methods.ts'
import { systemMethods } from './doors/connect/system-methods.ts'
import { templateMethods } from './doors/connect/template-methods.ts'
import { Front } from './doors/front.ts'
import { HttpDoor } from './doors/http/http-door.ts'
import { McpDoor } from './doors/mcp/mcp-door.ts'
import { Port, type ListenOptions } from './doors/port/port.ts'
import { openIdentity, type Identity } from './identity/identity.ts'
import { DEFAULT_PROJECT } from './identity/projects.ts'
import { projectKey } from './identity/records.ts'
import { PreviewDoor } from './doors/preview/preview-door.ts'
import { Lifecycle } from './lifecycle/lifecycle.ts'
import { sweepCutOff } from './lifecycle/sweep-cut-off.ts'
import { MetricsRegistry } from './metrics/registry.ts'
import { DEFAULT_DEFAULTS, DEFAULT_LIMITS, HOST_TEMPLATE, type ServerOptions } from './options.ts'
import { pooledRandom } from './pooled-random.ts'
import { openPorts, type OpenPorts } from './ports/open-ports.ts'
import { Readiness } from './readiness.ts'
import { Activity } from './sandboxes/activity.ts'
import type { Core } from './sandboxes/core.ts'
import { Ledger } from './sandboxes/ledger.ts'
import { Operations } from './sandboxes/operations.ts'
import { Images } from './images/images.ts'
import { Pools } from './pools/pools.ts'
import { Sandboxes } from './sandboxes/sandboxes.ts'
import { SnapshotBook } from './snapshots/snapshot-book.ts'
import { Snapshots } from './snapshots/snapshots.ts'
import { TemplateBook } from './templates/template-book.ts'
import { Templates } from './templates/templates.ts'
import { VolumeBook } from './volumes/volume-book.ts'
import { Volumes } from './volumes/volumes.ts'
import { SandboxView } from './sandboxes/view.ts'

/** The control plane and its doors. */
export interface CoveServer extends AsyncDisposable {
  /** For whatever runs in the same process. */
  readonly sandboxes: Sandboxes
  readonly templates: Templates
  readonly metrics: MetricsRegistry
  /** Settles when store and node have been brought together after the start; work is taken before that. */
  readonly reconciled: Promise<void>
  listen(options: ListenOptions): Promise<AddressInfo>
  /**
   * Ends the streams, takes nothing new, and lets calls under way end for up to `graceMs` milliseconds. Sandboxes
   * keep running. Safe to call twice. Store and node stay open: they belong to whoever opened them.
   */
  close(graceMs: number): Promise<void>
}

/** What one address may get wrong: enough for a mistake that is repeated, not for guessing. */
const WRONG_KEYS = { perSecond: 1, burst: 30 }

export async function openServer(options: ServerOptions): Promise<CoveServer> {
  const { store, node, clock, log } = options
  const random = pooledRandom(options.random)
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const view = new SandboxView()
  const ledger = new Ledger(store, view, clock, log)
  const core: Core = {
    ledger,
    view,
    node,
    clock,
    random,
    log,
    limits,
    defaults: { ...DEFAULT_DEFAULTS, ...options.defaults },
    templates: new TemplateBook(store),
    snapshots: new SnapshotBook(store),
    volumes: new VolumeBook(store),
    activity: new Activity(clock),
    operations: new Operations(),
    removalFailed: (id) => lifecycle.removalFailed(id),
    outcomeLost: () => lifecycle.outcomeLost(),
  }
  const lifecycle = new Lifecycle(core)
  const sandboxes = new Sandboxes(core)
  const snapshots = new Snapshots(core, sandboxes)
  const volumes = new Volumes(core)
  const pools = new Pools(core, store)
  const metrics = new MetricsRegistry()
  const audit = options.audit ?? new MemoryAudit()
  const auditor = new CallAuditor(audit, clock, ({ project }, ref) => view.idOf(project, ref))
  const closing = new AbortController()
  const readiness = new Readiness(node)
  const templates = new Templates({
    book: core.templates,
    fixed: options.templates ?? [HOST_TEMPLATE],
    limits: core.defaults.limits,
    node,
    clock,
    random,
    log,
    closing: closing.signal,
    hasProject: async (name) => name === DEFAULT_PROJECT || (await store.get(projectKey(name))) !== undefined,
  })

  let listening: number | undefined
  let opened: OpenPorts
  let identity: Identity | undefined
  try {
    await lifecycle.start()
    await templates.start()
    identity = await openIdentity({
      store,
      clock,
      random,
      log,
      limits,
      fixed: options.keys,
      sandboxes: view,
      findSandbox: (id) => sandboxes.find(id),
    })
    opened = await openPorts(core, sandboxes, options, () => listening, closing.signal)
  } catch (error) {
    closing.abort()
    await identity?.[Symbol.asyncDispose]()
    await lifecycle.close(0)
    throw error
  }

  const chores = [
    sweepCutOff([() => snapshots.sweep(), () => volumes.sweep(), () => templates.sweep()], clock, log, closing.signal),
    pools.follow(closing.signal),
  ]
  const body = { bytes: limits.unaryBytes, ms: limits.unaryBodyMs }
  const services = buildServices(
    {
      sandboxes: sandboxMethods(sandboxes, snapshots, limits),
      snapshots: snapshotMethods(snapshots),
      volumes: volumeMethods(volumes),
      images: imageMethods(new Images(core), limits),
      pools: poolMethods(pools),
      processes: processMethods(sandboxes, random, limits),
      files: fileMethods(sandboxes, identity.fileUrls, limits),
      ports: portMethods(opened.ports),
      identity: identityMethods(identity, sandboxes, audit),
      templates: templateMethods(templates, limits),
      system: systemMethods(
        { version: options.version, installation: options.installation, startedAt: clock.now() },
        sandboxes,
        node,
      ),
    },
    { limits, notReady: () => readiness.problem(), closing: closing.signal, auditor, log },
  )
  const answers = metrics.counter('cove_http_answers_total', 'Answers by door and status.')
  const seconds = metrics.histogram('cove_http_seconds', 'Seconds from a request to the end of its answer.')
  const mcp = new McpDoor({
    ...options.mcp,
    sandboxes,
    ports: opened.ports,
    audit,
    clock,
    random,
    limits,
    version: options.version,
    closing: closing.signal,
    log,
  })
  const callers = new Authenticator({
    keys: identity.ring,
    hasProject: (name) => identity.view.project(name) !== undefined,
    clock,
    rate: { perSecond: limits.callsPerSecond, burst: limits.callBurst },
    failures: WRONG_KEYS,
  })
  const origins = new OriginCheck(options.allowedHosts ?? [])
  const previews = new PreviewDoor({
    ...opened,
    known: (id) => view.sandbox(id),
    keys: identity.ring,
    livingKey: (id) => identity.livingKey(id),
    failed: (from) => callers.failed(from),
    origins,
    audit,
    clock,
    headerBytes: limits.headerBytes,
    closing: closing.signal,
    log,
  })
  const front = new Front({
    callers,
    audit,
    clock,
    origins,
    hostDoors: [previews],
    doors: [
      new ConnectDoor(services, body, log),
      mcp,
      new HttpDoor({
        sandboxes,
        ports: opened.ports,
        templates,
        snapshots,
        auditor,
        signed: { urls: identity.fileUrls, callers },
        random,
        limits,
        metrics,
        notReady: () => readiness.problem(),
        closing: closing.signal,
        log,
      }),
    ],
    random,
    headerBytes: limits.headerBytes,
    callsUnderWay: limits.callsUnderWay,
    log,
    onAnswer: (door, status, ms) => {
      answers({ door, status: String(status) })
      seconds(ms / 1000)
    },
  })
  const port = new Port(front, limits, log)
  metrics.gauge('cove_sandboxes', 'Sandboxes by state.', () => countStates(view))
  metrics.gauge('cove_audit_lost', 'Entries that the audit log could not keep.', () => [[{}, audit.lost]])
  metrics.gauge('cove_port_connections', 'Open connections to ports of sandboxes.', () => [
    [{}, opened.connections.count],
  ])
  metrics.gauge('cove_connections', 'Open connections.', () => [[{}, port.connections]])
  metrics.gauge('cove_resident_bytes', 'Resident memory of the server.', () => [[{}, process.memoryUsage.rss()]])

  let closed: Promise<void> | undefined
  const close = async (graceMs: number): Promise<void> => {
    readiness.state = 'closing'
    const until = clock.monotonic() + graceMs
    closing.abort(new CoveError('daemon-not-running', 'the server is closing'))
    await port.close(graceMs)
    await mcp.close()
    await Promise.all([...chores, templates.settled()])
    await lifecycle.close(Math.max(0, until - clock.monotonic()))
    await identity[Symbol.asyncDispose]()
  }
  return {
    sandboxes,
    templates,
    metrics,
    reconciled: lifecycle.reconciled,
    async listen(at) {
      const address = await port.listen(at)
      listening = address.port
      readiness.state = 'listening'
      return address
    },
    close: (graceMs) => (closed ??= close(graceMs)),
    [Symbol.asyncDispose]: () => (closed ??= close(10_000)),
  }
}

function* countStates(view: SandboxView): Generator<[Record<string, string>, number]> {
  const counts = new Map<string, number>()
  for (const { status } of view.entries()) counts.set(status.state, (counts.get(status.state) ?? 0) + 1)
  for (const [state, count] of counts) yield [{ state }, count]
}
