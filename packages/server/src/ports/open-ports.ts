import { createSecretKey, type KeyObject } from 'node:crypto'
import { signingKey } from '../auth/signing-key.ts'
import type { ServerOptions } from '../options.ts'
import type { Core } from '../sandboxes/core.ts'
import type { Sandboxes } from '../sandboxes/sandboxes.ts'
import { Connections } from './connections.ts'
import { Ports, type PortsParts } from './ports.ts'
import { PreviewHosts } from './preview-hosts.ts'
import { PreviewTokens } from './preview-tokens.ts'
import { Shares } from './shares.ts'

export interface OpenPorts extends PortsParts {
  readonly ports: Ports
}

/** Loads what is shared; `listening` answers the port of the server once it listens. */
export async function openPorts(
  core: Core,
  sandboxes: Sandboxes,
  { store, previewDomain = 'localhost', publicUrl }: Pick<ServerOptions, 'store' | 'previewDomain' | 'publicUrl'>,
  listening: () => number | undefined,
  closing: AbortSignal,
): Promise<OpenPorts> {
  const { view, clock, random, log, activity } = core
  const shares = new Shares(store, view, clock, log)
  await shares.start(closing)
  let key: Promise<KeyObject> | undefined
  const previewKey = (): Promise<KeyObject> => {
    key ??= signingKey(store, random, 'preview').then(createSecretKey, (error: unknown) => {
      key = undefined
      throw error
    })
    return key
  }
  const parts: PortsParts = {
    sandboxes,
    shares,
    tokens: new PreviewTokens(previewKey, store, clock, random),
    hosts: new PreviewHosts({
      domain: previewDomain,
      ...(publicUrl === undefined ? {} : { publicUrl: new URL(publicUrl) }),
      listening,
    }),
    connections: new Connections(view, activity),
  }
  return { ...parts, ports: new Ports(parts) }
}
