import { arch } from 'node:process'
import type { DockerEngine, EngineInfo } from '@cove/docker-engine'

/** What machines' processors are called by engines. */
const ARCHITECTURES: Readonly<Record<string, readonly string[]>> = {
  x64: ['x86_64', 'amd64'],
  arm64: ['aarch64', 'arm64'],
}

/** Why no machine can run there. */
export function refuseEngine({ os, architecture }: EngineInfo): { reason: string; fix: string } | undefined {
  if (os !== 'linux') return { reason: `the Docker Engine runs ${os} containers`, fix: 'Use an engine for Linux.' }
  if (ARCHITECTURES[arch]?.includes(architecture) === true) return undefined
  return {
    reason: `the Docker Engine's processor is ${architecture}, and this guest program is for ${arch}`,
    fix: 'Run the node on a host of the same kind as the engine.',
  }
}

/** Worth showing to people. */
export function describeEngine(engine: DockerEngine, info: EngineInfo): Readonly<Record<string, string>> {
  const { address } = engine
  const where = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`
  const mapped = info.security.some((option) => option === 'name=userns')
  return {
    engine: `Docker Engine ${engine.version} (API ${engine.apiVersion})`,
    address: address.kind === 'tcp' && address.tls === undefined ? `${where} (not encrypted)` : where,
    kernel: info.kernel,
    storage: info.backing === '' ? info.storage : `${info.storage} on ${info.backing}`,
    users: mapped ? 'mapped by the engine' : "root inside is the host's root, without most of its power",
    restarts: info.liveRestore
      ? 'machines outlive a restart of the engine'
      : 'machines end with the engine (its option live-restore keeps them)',
  }
}
