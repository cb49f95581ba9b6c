import { createClient, type Client, type Transport } from '@connectrpc/connect'
import {
  FileService,
  IdentityService,
  PoolService,
  ProcessService,
  Role,
  SandboxService,
  SnapshotService,
  TemplateService,
  VolumeService,
} from '@cove/api'
import { CoveError } from '@cove/domain'
import { codeOf } from './code-of.ts'
import { PROTOCOLS, transport } from './clients.ts'

/** The services as one key sees them. */
export interface Caller {
  readonly identity: Client<typeof IdentityService>
  readonly sandboxes: Client<typeof SandboxService>
  readonly snapshots: Client<typeof SnapshotService>
  readonly volumes: Client<typeof VolumeService>
  readonly pools: Client<typeof PoolService>
  readonly templates: Client<typeof TemplateService>
  readonly processes: Client<typeof ProcessService>
  readonly files: Client<typeof FileService>
}

export function callerOf(
  base: string,
  key: string,
  protocol: (typeof PROTOCOLS)[number] = 'connect over http/1.1',
): Caller {
  return clients(transport(base, protocol, key))
}

function clients(way: Transport): Caller {
  return {
    identity: createClient(IdentityService, way),
    sandboxes: createClient(SandboxService, way),
    snapshots: createClient(SnapshotService, way),
    volumes: createClient(VolumeService, way),
    pools: createClient(PoolService, way),
    templates: createClient(TemplateService, way),
    processes: createClient(ProcessService, way),
    files: createClient(FileService, way),
  }
}

export interface MadeKey {
  readonly id: string
  readonly secret: string
}

export async function makeKey(
  { identity }: Caller,
  options: { project?: string; role?: Role; name?: string; seconds?: number } = {},
): Promise<MadeKey> {
  const { project = '', role = Role.UNSPECIFIED, name = '', seconds } = options
  const expiry = seconds === undefined ? {} : { expiresIn: { seconds: BigInt(seconds), nanos: 0 } }
  const { key, secret } = await identity.createKey({ project, role, name, ...expiry })
  return { id: key?.id ?? '', secret }
}

/** Cove's code of the failure, or `ok`. */
export async function outcome(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'ok',
    (error: unknown) => (error instanceof CoveError ? error.code : codeOf(error)),
  )
}
