import { CoveError, formatDuration, type Sandbox } from '@cove/domain'
import * as z from 'zod'
import type { RuntimeName } from '../../../runtimes/runtimes.ts'
import { RUNTIMES } from '../../../runtimes/runtimes.ts'
import type { ToolCall } from '../call.ts'

/** Sandboxes that were made by this door carry it, with their runtime as its value. */
export const RUNTIME_LABEL = 'cove.dev/runtime'

export const environmentFacts = z.object({
  environment_id: z.string(),
  name: z.string().nullable(),
  runtime: z.string().nullable().describe('null for sandboxes that were made in another way; name the language then.'),
  status: z.string(),
  created_at: z.string(),
  timeout: z.string().describe('Without activity for so long, it is destroyed.'),
  network: z.string(),
  isolation: z.string().nullable(),
})

export type EnvironmentFacts = z.infer<typeof environmentFacts>

export function toEnvironment({ spec, status }: Sandbox): EnvironmentFacts {
  return {
    environment_id: spec.id,
    name: spec.name ?? null,
    runtime: spec.labels[RUNTIME_LABEL] ?? null,
    status: status.state,
    created_at: new Date(spec.createdAt).toISOString(),
    timeout: spec.idleTimeout === 'never' ? 'never' : formatDuration(spec.idleTimeout),
    network: spec.network.kind,
    isolation: status.isolation ?? null,
  }
}

/** Finds an environment by id or name, and notes it for the audit log. */
export async function findEnvironment(ref: string, { sandboxes, caller, noted }: ToolCall): Promise<Sandbox> {
  noted.target = ref.slice(0, 80)
  const sandbox = await sandboxes.get(caller, ref)
  noted.target = sandbox.spec.id
  return sandbox
}

/** What the caller names, else what the environment was made for. */
export function runtimeOf({ spec }: Sandbox, language: RuntimeName | undefined): RuntimeName {
  if (language !== undefined) return language
  const label = spec.labels[RUNTIME_LABEL]
  const known = RUNTIMES.find((name) => name === label)
  if (known !== undefined) return known
  throw new CoveError(
    'invalid-argument',
    `language is required (${RUNTIMES.join(', ')}): this environment was made without a runtime`,
    { field: 'language' },
  )
}
