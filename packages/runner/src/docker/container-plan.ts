import { createHash } from 'node:crypto'
import { isAbsolute } from 'node:path'
import { CoveError } from '@cove/domain'
import type { ContainerSpec, MountPoint } from '@cove/docker-engine'
import { checkVariables, checkWords } from '../environment/environment-layers.ts'
import { formatOwner, type ContainerOwner } from './container-owner.ts'
import type { DockerEnvironmentOptions } from './docker-options.ts'

/** Labels of every container of the runner. */
export const LABEL = {
  kind: 'cove.kind',
  installation: 'cove.installation',
  name: 'cove.name',
  owner: 'cove.owner',
  config: 'cove.config',
} as const
export const KIND = 'runner'

/** Where programs look for it in a container, and where the engine has it unless it is known better. */
export const SOCKET = '/var/run/docker.sock'
const EVERYWHERE = '0.0.0.0'
const LONGEST_NAME = 128

export function containerName(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_./-]*$/.test(name) || name.length > LONGEST_NAME) {
    throw invalid('name', `a name is 1 to ${LONGEST_NAME} of letters, digits, "_", ".", "-" and "/"`)
  }
  return `cove-${name.replaceAll('/', '-')}`
}

export interface PlanFacts {
  readonly owner: ContainerOwner
  /** A newer image of the same name makes another container. */
  readonly imageId: string
  /** The engine's, on its machine. */
  readonly socket?: string | undefined
}

/** The container, apart from what pauses it. `invalid-argument` for what makes no sense. */
export function planContainer(
  options: DockerEnvironmentOptions,
  { owner, imageId, socket = SOCKET }: PlanFacts,
): ContainerSpec {
  check(options)
  const { ports = [], mounts = [], caches = [] } = options
  const spec: ContainerSpec = {
    name: containerName(options.name),
    image: options.image,
    ...(options.entrypoint === undefined ? {} : { entrypoint: options.entrypoint }),
    ...(options.command === undefined ? {} : { command: options.command }),
    env: options.environment ?? {},
    ...(options.directory === undefined ? {} : { workingDirectory: options.directory }),
    ...(options.user === undefined ? {} : { user: options.user }),
    terminal: options.terminal ?? false,
    mounts: [
      ...mounts.map(({ source, target, readOnly = false }): MountPoint => ({ kind: 'bind', source, target, readOnly })),
      ...caches.map(({ key, target }): MountPoint => {
        return { kind: 'volume', source: cacheVolume(options, key), target, readOnly: false }
      }),
      ...(options.dockerSocket === true
        ? [{ kind: 'bind', source: socket, target: SOCKET, readOnly: false } as const]
        : []),
    ],
    ports: ports.map(({ container, host = 0, protocol = 'tcp' }) => ({
      container,
      host,
      protocol,
      ...(options.publicPorts === true ? { address: EVERYWHERE } : {}),
    })),
    ...(options.network === undefined ? {} : { network: options.network }),
    extraHosts: extraHosts(options.network),
    init: true,
    ...(options.memoryBytes === undefined ? {} : { memoryBytes: options.memoryBytes }),
    ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
    ...(options.processes === undefined ? {} : { processes: options.processes }),
  }
  const kind = owner === 'durable' ? 'durable' : 'ephemeral'
  return {
    ...spec,
    labels: {
      [LABEL.kind]: KIND,
      [LABEL.installation]: options.installation,
      [LABEL.name]: options.name,
      [LABEL.owner]: formatOwner(owner),
      [LABEL.config]: fingerprint({ ...spec, pause: options.pause ?? false, kind, imageId }),
    },
  }
}

/** The last part tells `a` and `b-c` from `a-b` and `c`. */
export function cacheVolume(
  { installation, name }: Pick<DockerEnvironmentOptions, 'installation' | 'name'>,
  key: string,
): string {
  const mark = createHash('sha256').update(`${name}\0${key}`).digest('hex').slice(0, 12)
  return `cove-cache-${installation}-${name.replaceAll('/', '-')}-${key}-${mark}`
}

/** Where the name of the host leads, as it does with Docker Desktop. */
function extraHosts(network: string | undefined): readonly string[] {
  if (network === 'none' || network?.startsWith('container:') === true) return []
  return [`host.docker.internal:${network === 'host' ? '127.0.0.1' : 'host-gateway'}`]
}

/** The same for the same configuration, whatever the order in which it was written. */
function fingerprint(value: object): string {
  return createHash('sha256').update(JSON.stringify(value, sorted)).digest('hex')
}

function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function check(options: DockerEnvironmentOptions): void {
  if (!/^[A-Za-z0-9-]{1,64}$/.test(options.installation)) {
    throw invalid('installation', 'the installation id is not 1 to 64 of letters, digits and dash')
  }
  if (options.image === '') throw invalid('image', 'the image has no name')
  if (options.pause === true && (options.command !== undefined || options.entrypoint !== undefined)) {
    throw invalid('pause', 'a container that pauses has no command of its own')
  }
  checkVariables(options.environment ?? {})
  checkWords([...(options.entrypoint ?? []), ...(options.command ?? [])])
  if (options.directory !== undefined && !isAbsolute(options.directory)) {
    throw invalid('directory', 'the directory in the container is absolute')
  }
  for (const { source, target } of options.mounts ?? []) {
    if (!isAbsolute(source) || !isAbsolute(target)) throw invalid('mounts', 'both ends of a mount are absolute')
  }
  for (const { key, target } of options.caches ?? []) {
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(key)) {
      throw invalid('caches', 'the key of a cache is 1 to 64 of letters, digits, "_", "." and "-"')
    }
    if (!isAbsolute(target)) throw invalid('caches', 'a cache is shown at an absolute path')
  }
  for (const { container, host = 0 } of options.ports ?? []) {
    if (!isPort(container) || (host !== 0 && !isPort(host))) {
      throw invalid('ports', 'a port is a whole number from 1 to 65535')
    }
  }
}

const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65_535

function invalid(field: string, message: string): CoveError {
  return new CoveError('invalid-argument', message, { field })
}
