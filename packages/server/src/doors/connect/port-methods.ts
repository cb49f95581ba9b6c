import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { PortService } from '@cove/api'
import type { Ports } from '../../ports/ports.ts'
import type { Methods } from './call.ts'
import { checkRef, parseMilliseconds } from './from-wire.ts'

export function portMethods(ports: Ports): Methods<typeof PortService> {
  return {
    async listPorts({ sandbox }, { caller, host, signal }) {
      const found = await ports.list(caller, checkRef(sandbox), host, signal)
      return { ports: found.map((port) => ({ ...port, addresses: [...port.addresses] })) }
    },
    async sharePort({ sandbox, port, public: isPublic }, { caller, host }) {
      const shared = await ports.share(caller, checkRef(sandbox), port, isPublic, host)
      return { port: { ...shared, addresses: [...shared.addresses] } }
    },
    async unsharePort({ sandbox, port }, { caller }) {
      await ports.unshare(caller, checkRef(sandbox), port)
      return {}
    },
    async createPreviewUrl({ sandbox, port, expiresIn, path }, { caller, host }) {
      const expiresInMs = parseMilliseconds(expiresIn, 'expiresIn')
      const request = { port, ...(expiresInMs === undefined ? {} : { expiresInMs }), ...(path === '' ? {} : { path }) }
      const { url, expiresAt } = await ports.previewUrl(caller, checkRef(sandbox), request, host)
      return { url, expiresAt: timestampFromMs(expiresAt) }
    },
  }
}
