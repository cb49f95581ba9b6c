/** A TCP port of a sandbox. */
export interface PortInfo {
  /** 1 to 65535. */
  readonly port: number
  /** True when something in the sandbox listens on it now. */
  readonly listening: boolean
  /** True when whoever knows its address may see it; otherwise a key or a preview address is needed. */
  readonly public: boolean
  /** Its address in a browser: `http://<port>-<id>.<domain>/`, with the port of the API where it is not the usual one. */
  readonly url: string
  /** Addresses inside the sandbox that it listens on, such as `127.0.0.1` or `::`. Empty when nothing listens. */
  readonly addresses: readonly string[]
}
