import { CoveError, type Compare, type Limits, type SandboxSpec } from '@cove/domain'
import type { Scope } from '../auth/principal.ts'
import type { MemoryRecord } from '../templates/template-record.ts'
import type { Core } from './core.ts'
import { checkEnv, type CreateRequest } from './request.ts'

/** What the names of a create mean now. */
export interface Resolved {
  readonly spec: Pick<SandboxSpec, 'template' | 'from' | 'snapshot' | 'volumes' | 'env' | 'user' | 'workdir' | 'start'>
  /** Of a template that is kept with its memory. */
  readonly memory?: MemoryRecord
  /** Before those of the request. */
  readonly limits: Limits
  /** Hold in the transaction that makes the sandbox: what was found is still there. */
  readonly compare: readonly Compare[]
}

/** Looks up the template or the snapshot, and the volumes, of a create. */
export async function resolveCreate(core: Core, scope: Scope, request: CreateRequest): Promise<Resolved> {
  if (request.snapshot !== undefined && request.template !== undefined) {
    throw new CoveError('invalid-argument', 'snapshot and template are both named', { field: 'snapshot' })
  }
  const [ground, volumes] = await Promise.all([
    request.snapshot === undefined
      ? core.templates.resolve(scope, request.template ?? core.defaults.template)
      : core.snapshots.resolve(scope.project, request.snapshot),
    core.volumes.resolve(scope.project, request.volumes ?? []),
  ])
  const env = { ...ground.spec.env, ...request.env }
  // What comes from a snapshot came from a request once, and may have grown with each sandbox in between.
  if (request.snapshot !== undefined) checkEnv(env, 'env with that of the snapshot')
  return {
    spec: { ...ground.spec, env, volumes: volumes.uses },
    limits: { ...ground.limits, ...request.limits },
    ...(ground.memory === undefined ? {} : { memory: ground.memory }),
    compare: [...ground.compare, ...volumes.compare],
  }
}
