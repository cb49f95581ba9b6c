/** Where a client finds Cove when nobody says. */
export interface Installation {
  readonly url?: string
  readonly apiKey?: string
}

/** Variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>
