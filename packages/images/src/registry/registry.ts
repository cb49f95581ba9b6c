import type { Platform } from '@cove/domain'
import type { ImageSource } from './image-source.ts'

export interface RegistryOptions {
  /** The only ones that images are asked of, `host[:port]` as in references. Default, also for an empty list: any. */
  readonly allowed?: readonly string[]
  /** Registries that may be spoken to in plain HTTP, `host:port` as in references. Those on loopback always may. */
  readonly insecure?: readonly string[]
  /** Tried in order before the registry itself, by its name; each `host[:port][/path]` or a URL. */
  readonly mirrors?: Readonly<Record<string, readonly string[]>>
  /** PEM, trusted besides the authorities that Node knows. */
  readonly certificateAuthorities?: readonly string[]
  /** By registry; goes before what the file of `dockerConfig` says. */
  readonly credentials?: Readonly<Record<string, Credentials>>
  /** A file in the format of Docker's `config.json`; one that does not exist says nothing. */
  readonly dockerConfig?: string
  /** Where programs `docker-credential-…` are looked for. Default: fixed folders of the system. */
  readonly helperFolders?: readonly string[]
  /** Layers of one image that are fetched at the same time. Default 3. */
  readonly parallel?: number
  /** Gives up on an answer when no byte has come for so long. Default 30,000. */
  readonly stallMs?: number
  /** After 429, 5xx and broken connections. Default 4. */
  readonly retries?: number
  /** The first pause between attempts; each is twice the one before. Default 500. */
  readonly backoffMs?: number
}

export type Credentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** What token servers call a refresh token. */
  | { readonly kind: 'identity-token'; readonly token: string }
  | { readonly kind: 'registry-token'; readonly token: string }

/** Pulls images by the distribution specification of the OCI. Shared by all pulls of a node; keeps connections. */
export interface Registry extends Disposable {
  /**
   * Reads manifest and configuration. `reference` as people write it: `alpine`, `ghcr.io/x/y:1`, `x@sha256:…`. Errors:
   * `invalid-argument`, `permission-denied` (a registry that is not allowed), `image-not-found`, `unauthenticated`, `image-invalid`, `unsupported` (also when there is none
   * for the platform: the message lists those there are), `registry-unavailable`, `cancelled`.
   */
  resolve(reference: string, platform: Platform, signal: AbortSignal): Promise<ImageSource>
}
