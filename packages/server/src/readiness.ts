import type { NodeClient } from '@cove/domain'

/** A probe that asks while drivers are being proven is answered so instead of waiting for them. */
const PATIENCE_MS = 250

/** Whether the server takes work, for `/readyz`. */
export class Readiness {
  state: 'starting' | 'listening' | 'closing' = 'starting'
  readonly #node: NodeClient

  constructor(node: NodeClient) {
    this.#node = node
  }

  /** Why not, in a sentence; undefined when it does. */
  async problem(): Promise<string | undefined> {
    if (this.state !== 'listening') return `the server is ${this.state}`
    try {
      const reports = await this.#node.drivers(AbortSignal.timeout(PATIENCE_MS))
      return reports.some(({ chosen }) => chosen) ? undefined : 'no driver can make sandboxes here; see `cove doctor`'
    } catch {
      return 'the drivers are being proven'
    }
  }
}
