import { Cove } from '@cove/sdk'
import { explainFor } from './contexts/explain.ts'
import { findTarget } from './contexts/target.ts'
import type { Io } from './io.ts'
import type { Where } from './options/global-options.ts'
import { explainErrors } from './render/error.ts'

/** A person waits at the other end: a daemon that is not there is told at once instead of being waited for. */
const RETRY = { attempts: 1, baseMs: 50, maxMs: 200 }

export async function connect(where: Where, io: Io): Promise<Cove> {
  const target = await findTarget(where, io.env)
  explainErrors(io, explainFor(target, io.env))
  const { url, apiKey, project } = target
  return new Cove({
    ...(url === undefined ? {} : { url }),
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(project === undefined ? {} : { project }),
    env: io.env,
    retry: RETRY,
  })
}
