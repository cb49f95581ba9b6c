import { isAbsolute, resolve } from 'node:path'
import { CoveError } from '@cove/domain'

interface PortPair {
  readonly host: number
  readonly container: number
}

interface Volume {
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
}

/** Reads `8080` and `8080:80`: of this machine, and of the container. */
export function readPort(text: string): PortPair {
  const [, host = '', container = host] = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text) ?? []
  const port = { host: Number(host), container: Number(container) }
  if (host !== '' && isPort(port.host) && isPort(port.container)) return port
  throw new CoveError('invalid-argument', `${JSON.stringify(text)} publishes no port`, { field: 'publish' })
}

/** Reads `.:/work` and `/data:/data:ro`; the first folder is relative to the directory. */
export function readVolume(text: string, directory = '.'): Volume {
  const [, source, target = '', mode] = /^([^:]+):([^:]+)(?::(ro|rw))?$/.exec(text) ?? []
  if (source !== undefined && isAbsolute(target)) {
    return { source: resolve(directory, source), target, readOnly: mode === 'ro' }
  }
  throw new CoveError('invalid-argument', `${JSON.stringify(text)} is no volume`, { field: 'volume' })
}

const isPort = (port: number): boolean => port >= 1 && port <= 65_535
