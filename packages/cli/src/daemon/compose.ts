import { join } from 'node:path'
import type { Log } from '@cove/domain'
import { systemClock, systemRandom } from '@cove/domain/system'
import { openImageStore } from '@cove/images'
import { openNode, type CoveNode } from '@cove/node'
import { openLauncher, type Launcher } from '@cove/runner'
import { FileAudit, keyRing, openServer, operatorKey, type CoveServer } from '@cove/server'
import { openEmbeddedStore } from '@cove/store'
import type { Environment, Settings } from '../config/settings.ts'
import { layersProgramBeside } from '../setup/layers-program.ts'
import { VERSION } from '../version.ts'
import { makeDrivers } from './make-drivers.ts'
import { mcpOptions } from './mcp-options.ts'
import type { DataDir } from './data-dir.ts'
import { openRuntimeDir, removeRuntimeDir } from './runtime-dir.ts'

/** Server and node in one process: the calls between them are function calls. */
export interface Daemon {
  readonly server: CoveServer
  readonly node: CoveNode
  readonly url: string
  /** Refuses new calls, lets running ones finish within `graceMs`, and lets go of everything. Machines keep running. */
  close(graceMs: number): Promise<void>
}

export async function composeDaemon(
  settings: Settings,
  dataDir: DataDir,
  guestProgram: string,
  log: Log,
  env: Environment,
): Promise<Daemon> {
  const clock = systemClock
  const random = systemRandom
  const { installation } = dataDir
  const mcp = mcpOptions(settings)
  await using undo = new AsyncDisposableStack()

  const durability = settings.durability
  // The stores' locks say whether another daemon uses this data directory; then nothing else has been touched.
  const [serverStore, nodeStore] = await openTogether(undo, [
    openEmbeddedStore({ path: dataDir.serverStore, clock, log, durability }),
    openEmbeddedStore({ path: dataDir.nodeStore, clock, log, durability }),
  ])
  const runtimeDir = await openRuntimeDir(dataDir.path, installation)
  const launcher = undo.use(await openLauncher({ binary: guestProgram, stateDir: join(runtimeDir, 'l'), installation }))

  const images = undo.use(
    await openImageStore({
      folder: join(dataDir.path, 'images'),
      layersProgram: layersProgramBeside(guestProgram),
      clock,
      log: log.child({ room: 'images' }),
      budgetBytes: settings.imageBudget,
      registry: {
        allowed: settings.registries,
        mirrors: settings.registryMirrors,
        insecure: settings.insecureRegistries,
        ...(settings.registryConfig === undefined ? {} : { dockerConfig: settings.registryConfig }),
      },
    }),
  )
  const drivers = makeDrivers(settings, {
    launcher,
    guestProgram,
    installation,
    stateDir: dataDir.drivers,
    runtimeDir,
    images,
    random,
    log,
    env,
  })
  for (const driver of drivers) undo.defer(() => driver.close())

  const node = await openNode({
    name: 'local',
    drivers,
    store: nodeStore,
    clock,
    random,
    log: log.child({ room: 'node' }),
    images,
    buildsFolder: join(dataDir.path, 'builds'),
    volumesFolder: join(dataDir.path, 'volumes'),
    ...(settings.driver === 'auto' ? {} : { defaultDriver: settings.driver }),
  })
  // After the node has let go, also when the start fails further on.
  undo.defer(async () => {
    // What a driver is just trying out keeps the launcher alive.
    for (const driver of drivers) await driver.close()
    if ((await node.list()).length === 0 && (await endsNow(launcher))) await removeRuntimeDir(dataDir.path, runtimeDir)
  })
  undo.use(node)

  const audit = undo.use(new FileAudit({ directory: dataDir.audit, clock, log: log.child({ room: 'audit' }) }))
  const server = await openServer({
    store: serverStore,
    node,
    clock,
    random,
    log: log.child({ room: 'server' }),
    version: VERSION,
    installation,
    keys: keyRing([operatorKey(dataDir.apiKey)]),
    limits: {
      sandboxesPerProject: settings.maxSandboxes,
      callsPerSecond: settings.rateLimit,
      callBurst: settings.rateBurst,
    },
    audit,
    defaults: {
      idleTimeoutMs: settings.idleTimeout,
      lifetimeMs: settings.lifetime,
      limits: {
        memoryBytes: { value: settings.defaultMemory, required: false },
        processes: { value: settings.defaultProcesses, required: false },
      },
    },
    allowedHosts: settings.allowedHosts,
    previewDomain: settings.previewDomain,
    ...(settings.publicUrl === undefined ? {} : { publicUrl: settings.publicUrl }),
    mcp,
  })
  undo.use(server)
  const { address, port, family } = await server.listen(settings.listen)
  const url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
  await node.ready()

  const owned = undo.move()
  return {
    server,
    node,
    url,
    async close(graceMs) {
      await server.close(graceMs)
      await owned.disposeAsync()
    },
  }
}

/** A launcher that still has something to do stays, and what it needs stays with it. */
async function endsNow(launcher: Launcher): Promise<boolean> {
  try {
    await launcher.stopLauncher()
    return true
  } catch {
    return false
  }
}

/** Waits for both, so that one that opens after the other has failed is closed too. */
async function openTogether<Resource extends AsyncDisposable>(
  owner: AsyncDisposableStack,
  opening: readonly [Promise<Resource>, Promise<Resource>],
): Promise<[Resource, Resource]> {
  const settled = await Promise.allSettled(opening)
  for (const result of settled) if (result.status === 'fulfilled') owner.use(result.value)
  return Promise.all(opening)
}
