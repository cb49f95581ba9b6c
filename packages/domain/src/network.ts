/** What a sandbox may reach. `none` is the default: only its own loopback. */
export type Network = { readonly kind: 'none' } | { readonly kind: 'internet'; readonly allow: readonly string[] }
