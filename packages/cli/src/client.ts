import { Cove } from '@cove/sdk'
import type { Io } from './io.ts'

/** A person waits at the other end: a daemon that is not there is told at once instead of being waited for. */
const RETRY = { attempts: 1, baseMs: 50, maxMs: 200 }

export function connect(url: string | undefined, env: Io['env']): Cove {
  return new Cove({ ...(url === undefined ? {} : { url }), env, retry: RETRY })
}
