import { createSecretKey, hash } from 'node:crypto'
import type { Clock, Log, Random, Sandbox, SandboxId, Store } from '@cove/domain'
import type { KeyRing } from '../auth/key-ring.ts'
import { TOKEN_PREFIX } from '../auth/sandbox-token.ts'
import { signingKey } from '../auth/signing-key.ts'
import type { ServerLimits } from '../options.ts'
import { slotKey } from '../sandboxes/keys.ts'
import type { SandboxView } from '../sandboxes/view.ts'
import { AccessStore } from './access-store.ts'
import { AccessView } from './access-view.ts'
import { Expiries } from './expiries.ts'
import { FileUrls } from './file-urls.ts'
import { forgetBuilds, holdingsOf } from './holdings.ts'
import { Keys } from './keys.ts'
import { Projects } from './projects.ts'
import { SandboxTokens } from './sandbox-tokens.ts'

export interface IdentityOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly limits: ServerLimits
  /** Keys that are not in the store. */
  readonly fixed: KeyRing
  readonly sandboxes: SandboxView
  readonly findSandbox: (id: SandboxId) => Promise<Sandbox | undefined>
}

/** Who may do what: projects, keys, tokens, and the ring that every door checks callers with. */
export interface Identity extends AsyncDisposable {
  readonly ring: KeyRing
  readonly projects: Projects
  readonly keys: Keys
  readonly tokens: SandboxTokens
  readonly fileUrls: FileUrls
  readonly view: AccessView
  /** The signal of a key that opens; undefined for every other. */
  livingKey(id: string): AbortSignal | undefined
}

/** Loads the records and follows them until it is disposed of. */
export async function openIdentity(options: IdentityOptions): Promise<Identity> {
  const { store, clock, random, log, limits, fixed, sandboxes } = options
  const expiries = new Expiries(clock)
  const view = new AccessView(clock, expiries)
  const records = new AccessStore(store, view, clock, log)
  const keys = new Keys({ store: records, clock, random, limit: limits.keysPerProject })
  const projects = new Projects({
    store: records,
    clock,
    random,
    limit: limits.projects,
    holdings: async (project) => {
      const live = 'sandboxes that have not ended'
      for (const { spec } of sandboxes.entries()) if (spec.project === project) return live
      if (await records.hasAny(slotKey(project, 0).slice(0, -1))) return live
      return await holdingsOf(store, project)
    },
    forget: (project) => forgetBuilds(store, project),
  })
  // The keys of the operator last as long as the server does.
  const forEver = new AbortController().signal
  const livingKey = (id: string): AbortSignal | undefined =>
    view.livingKey(id) ?? (fixed.knows(id) ? forEver : undefined)
  const tokens = new SandboxTokens({
    secret: createSecretKey(await signingKey(store, random, 'sandbox-token')),
    clock,
    random,
    expiries,
    livingKey,
    sandbox: (id) => options.findSandbox(id as SandboxId),
  })
  const fileUrls = new FileUrls({
    secret: createSecretKey(await signingKey(store, random, 'file-url')),
    clock,
    livingKey,
    findSandbox: options.findSandbox,
  })
  const ring: KeyRing = {
    async verify(token) {
      if (token.startsWith(TOKEN_PREFIX)) return tokens.verify(token)
      return view.verify(hash('sha256', token, 'buffer')) ?? fixed.verify(token)
    },
    knows: (id) => livingKey(id) !== undefined,
  }

  const ending = new AbortController()
  const revision = await records.load()
  await projects.ensureDefault()
  await projects.sweep()
  const unlisten = sandboxes.listen((sandbox) => tokens.changed(sandbox))
  const tasks = [records.follow(revision, ending.signal), expiries.run(ending.signal)]
  return {
    ring,
    projects,
    keys,
    tokens,
    fileUrls,
    view,
    livingKey,
    async [Symbol.asyncDispose]() {
      unlisten()
      ending.abort()
      await Promise.allSettled(tasks)
    },
  }
}
