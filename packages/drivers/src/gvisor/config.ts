import { CoveError, type VolumeMount } from '@cove/domain'
import { CAPABILITIES } from '../launched/capabilities.ts'
import { AGENT_PATH, ROOT, STAGE } from '../launched/stage.ts'

export interface RunscConfigRequest {
  readonly hostname: string
  /** Command line of the agent inside. */
  readonly agent: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Bytes that `/tmp` may grow to, in memory. */
  readonly tmpBytes: number
  readonly volumes: readonly VolumeMount[]
  /** It starts in the network namespace that the machine is to have. */
  readonly hasNetwork: boolean
}

const RUN_BYTES = 16 * 1024 * 1024
/** The most descriptors that a program inside may have, as on most hosts. */
const OPEN_FILES = { soft: 1024, hard: 1_048_576 }

/** Where the launcher shows volumes to the program that reads files on the machine's behalf. */
export const VOLUMES = `${STAGE}/dev`
export const volumePlace = (index: number): string => `${VOLUMES}/${index}`

/**
 * What `runsc` reads as `config.json`. What is memory in a machine (`/tmp`, `/run`, `/dev`) is the kernel's inside, so that
 * a snapshot has it; the root, the agent and volumes are the host's files. The order of the mounts never changes: a saved
 * machine finds its files again by it.
 */
export function runscConfig(request: RunscConfigRequest): string {
  const { hostname, agent, env, tmpBytes, volumes, hasNetwork } = request
  // The agent sets the host's name too, whose right the kernel inside keeps to itself.
  const capabilities = [...CAPABILITIES, 'CAP_SYS_ADMIN']
  return JSON.stringify({
    ociVersion: '1.0.2',
    process: {
      user: { uid: 0, gid: 0 },
      args: agent,
      env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      cwd: '/',
      noNewPrivileges: false,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      rlimits: [{ type: 'RLIMIT_NOFILE', ...OPEN_FILES }],
    },
    root: { path: ROOT, readonly: false },
    hostname,
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      tmpfs('/tmp', tmpBytes, '1777'),
      tmpfs('/run', RUN_BYTES, '755'),
      tmpfs('/dev/shm', Math.floor(tmpBytes / 2), '1777'),
      { destination: AGENT_PATH, type: 'bind', source: `${STAGE}/program`, options: ['bind', 'ro'] },
      ...volumes.map(({ target, readOnly }, index) => ({
        destination: target,
        type: 'bind',
        source: volumePlace(index),
        options: ['rbind', readOnly ? 'ro' : 'rw', 'nosuid', 'nodev'],
      })),
    ],
    linux: {
      namespaces: ['pid', 'mount', 'ipc', 'uts', ...(hasNetwork ? [] : ['network'])].map((type) => ({ type })),
    },
  })
}

function tmpfs(destination: string, bytes: number, mode: string): object {
  return { destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', `size=${bytes}`, `mode=${mode}`] }
}

/** What of a machine's configuration must be the same when it goes on from a snapshot. */
export interface RunscFacts {
  readonly tmpBytes: number
  /** Where its volumes are, in their order. */
  readonly volumes: readonly string[]
  readonly hasNetwork: boolean
}

/** Reads them from what `runscConfig` has written. */
export function readRunscConfig(text: string): RunscFacts {
  const config = JSON.parse(text) as {
    readonly mounts: readonly { readonly destination: string; readonly source: string; readonly options?: string[] }[]
    readonly linux: { readonly namespaces: readonly { readonly type: string }[] }
  }
  const size = config.mounts
    .find(({ destination }) => destination === '/tmp')
    ?.options?.find((option) => option.startsWith('size='))
  if (size === undefined) throw new CoveError('internal', 'a machine has no /tmp')
  return {
    tmpBytes: Number(size.slice('size='.length)),
    volumes: config.mounts.filter(({ source }) => source.startsWith(`${VOLUMES}/`)).map((mount) => mount.destination),
    hasNetwork: !config.linux.namespaces.some(({ type }) => type === 'network'),
  }
}
