import { IdentityService } from '@cove/api'
import { CoveError } from '@cove/domain'
import { defaultHttp, readInstallation } from '#platform'
import { Audit } from './audit.ts'
import type { CallOptions } from './call-options.ts'
import { callerInfo } from './convert/identity.ts'
import type { CallerInfo } from './identity-info.ts'
import type { Environment } from './installation.ts'
import { Images } from './images.ts'
import { Keys } from './keys.ts'
import { Pools } from './pools.ts'
import { Projects } from './projects.ts'
import { Sandboxes } from './sandboxes.ts'
import { Snapshots } from './snapshots.ts'
import { System } from './system.ts'
import { Templates } from './templates/templates.ts'
import { Volumes } from './volumes.ts'
import { webClock } from './web-clock.ts'
import { fetchHttp, type Fetch } from './wire/fetch-http.ts'
import { DEFAULT_RECONNECT } from './wire/reconnect.ts'
import { DEFAULT_RETRY, type RetryParts, type RetryPolicy } from './wire/retry.ts'
import { Rpc } from './wire/rpc.ts'

/** Where Cove is, who calls, and how patient the client is. Everything has a default. */
export interface CoveOptions {
  /** Default: `COVE_URL`, else the address of the local daemon, else `http://127.0.0.1:8080`. */
  readonly url?: string
  /** Default: `COVE_API_KEY`, else the key in the local data directory. */
  readonly apiKey?: string
  /** The project to work in, where the key may work in several. Default: the key's own. */
  readonly project?: string
  /** Where `COVE_URL`, `COVE_API_KEY` and `COVE_DATA_DIR` are looked up. Default on Node: `process.env`. */
  readonly env?: Environment
  /** Used for every exchange in place of the runtime's own way. */
  readonly fetch?: Fetch
  /** For calls that may be made again. */
  readonly retry?: Partial<RetryPolicy>
  /**
   * For streams whose connection broke: tries in a row that bring nothing new, and the pauses between them. Default: 15
   * tries, from 100 ms doubled up to 2 s, which is about 20 seconds.
   */
  readonly reconnect?: Partial<RetryPolicy>
  /** Time and chance, for tests. */
  readonly parts?: RetryParts
}

const DEFAULT_URL = 'http://127.0.0.1:8080'

/**
 * A client of one Cove. Holds no state but idle connections, which keep no process alive; one client serves any number
 * of calls at once.
 */
export class Cove {
  /** Where this client calls. */
  readonly url: string
  /** The sandboxes of the caller's project. */
  readonly sandboxes: Sandboxes
  /** For the operator. */
  readonly projects: Projects
  /** For admins. */
  readonly keys: Keys
  /** For admins. */
  readonly audit: Audit
  /** Version, drivers and templates of the installation. */
  readonly system: System
  /** What sandboxes start from. */
  readonly templates: Templates
  /** Saved states of sandboxes. */
  readonly snapshots: Snapshots
  /** Directories that outlive sandboxes. */
  readonly volumes: Volumes
  /** Machines made ahead of time. */
  readonly images: Images
  readonly pools: Pools
  readonly #rpc: Rpc

  constructor(options: CoveOptions = {}) {
    const complete = options.url !== undefined && options.apiKey !== undefined
    const found = complete ? {} : readInstallation(options.url, options.env)
    this.url = options.url ?? found.url ?? DEFAULT_URL
    const base = parseUrl(this.url)
    const send = options.fetch === undefined ? defaultHttp(base) : fetchHttp(base, options.fetch)
    const parts = options.parts ?? { clock: webClock, chance: Math.random }
    const apiKey = options.apiKey ?? found.apiKey
    const reconnect = { ...DEFAULT_RECONNECT, ...options.reconnect }
    const policy = { ...DEFAULT_RETRY, ...options.retry }
    const { project } = options
    const rpc = new Rpc({
      base,
      send,
      ...(apiKey === undefined ? {} : { apiKey }),
      ...(project === undefined ? {} : { project }),
      policy,
      reconnect,
      parts,
    })
    this.#rpc = rpc
    this.sandboxes = new Sandboxes(rpc)
    this.projects = new Projects(rpc)
    this.keys = new Keys(rpc)
    this.audit = new Audit(rpc)
    this.system = new System(rpc)
    this.templates = new Templates(rpc)
    this.snapshots = new Snapshots(rpc)
    this.volumes = new Volumes(rpc)
    this.images = new Images(rpc)
    this.pools = new Pools(rpc)
  }

  /** Who the key of this client makes its holder. `unauthenticated` when it opens nothing. */
  async caller(call: CallOptions = {}): Promise<CallerInfo> {
    return callerInfo(await this.#rpc.unary(IdentityService.method.getCaller, {}, call))
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url
  throw new CoveError(
    'invalid-argument',
    `${JSON.stringify(text.slice(0, 200))} is not an HTTP URL`,
    { field: 'url' },
    {
      fix: 'Use an address such as http://127.0.0.1:8080 (option `url`, or COVE_URL).',
    },
  )
}
