import type { Port as WirePort } from '@cove/api'
import type { PortInfo } from '../port-info.ts'

export function portInfo(wire: WirePort): PortInfo {
  const { port, listening, url } = wire
  return { port, listening, public: wire.public, url, addresses: [...wire.addresses] }
}
