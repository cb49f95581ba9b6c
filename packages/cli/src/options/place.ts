import { UsageError } from '../usage-error.ts'

export interface RemotePlace {
  readonly sandbox: string
  /** Absolute. */
  readonly path: string
}

/** Reads `<sandbox>:<path>`; undefined for what is no place in a sandbox. */
export function remotePlace(text: string): RemotePlace | undefined {
  const [, sandbox, path] = /^([a-z0-9][a-z0-9._-]{0,63}):(.*)$/s.exec(text) ?? []
  if (sandbox === undefined || path === undefined) return undefined
  if (path.startsWith('/')) return { sandbox, path }
  throw new UsageError(
    `the path in ${JSON.stringify(text)} is not absolute`,
    `Write ${sandbox}:/home/user/${path}, for example.`,
  )
}
