import type { DriverReport, NodeClient } from '@cove/domain'

/** One host's machines: what the control plane asks for, and what only the host's own daemon does. */
export interface CoveNode extends NodeClient, AsyncDisposable {
  /**
   * Resolves when the default driver has proven itself; waits for no weaker one. `isolation-unavailable` when no
   * driver can be the default.
   */
  ready(signal?: AbortSignal): Promise<void>
  /** Drivers whose verdict is known already, the default among them; waits for no other. */
  provenSoFar(): Promise<readonly DriverReport[]>
  /** Proves every driver anew. */
  diagnose(signal: AbortSignal): Promise<readonly DriverReport[]>
  /** Resolves when nothing is being removed or recorded in the background. */
  settled(): Promise<void>
  /**
   * Ends what is under way and lets go of all guests; machines keep running. The store and the drivers belong to
   * the caller and stay open. Safe to call twice.
   */
  close(): Promise<void>
}
