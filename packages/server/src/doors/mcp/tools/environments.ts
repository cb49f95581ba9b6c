import * as z from 'zod'
import { bad } from '../../../sandboxes/request.ts'
import { MCP_LIMITS } from '../settings.ts'
import { defineTool } from '../tool.ts'
import { environmentId } from './arguments.ts'
import { idleTimeoutOf } from './create-environment.ts'
import { environmentFacts, findEnvironment, toEnvironment } from './environment.ts'

export const destroyEnvironment = defineTool({
  name: 'destroy_environment',
  title: 'Destroy environment',
  description: 'Ends an environment with everything in it. Doing it twice is no error.',
  role: 'member',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  input: z.strictObject({ environment_id: environmentId }),
  facts: z.object({ status: z.literal('destroyed'), environment_id: z.string(), message: z.string() }),
  async run({ environment_id: ref }, call) {
    const { spec } = await findEnvironment(ref, call)
    await call.sandboxes.delete(call.caller, spec.id)
    const message = `Environment ${spec.id} has been destroyed`
    return { facts: { status: 'destroyed', environment_id: spec.id, message } as const }
  },
})

export const listEnvironments = defineTool({
  name: 'list_environments',
  title: 'List environments',
  description: 'Lists your live environments, newest first, whichever client or session has created them.',
  role: 'viewer',
  annotations: { readOnlyHint: true, openWorldHint: false },
  input: z.strictObject({}),
  facts: z.object({
    environments: z.array(environmentFacts),
    count: z.number().int(),
    truncated: z.boolean().describe('There are more than are listed.'),
  }),
  async run(_input, { sandboxes, caller }) {
    const filter = { states: [], labels: {}, includeDeleted: false }
    const { sandboxes: found, next } = sandboxes.list(caller, { filter, size: MCP_LIMITS.entries })
    const environments = found.map(toEnvironment)
    return { facts: { environments, count: environments.length, truncated: next !== undefined } }
  },
})

export const extendTimeout = defineTool({
  name: 'extend_timeout',
  title: 'Extend timeout',
  description:
    'Sets after how many minutes without activity an environment is destroyed, counted from now. Use it for what ' +
    'runs in the background: only calls count as activity.',
  role: 'member',
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  input: z.strictObject({
    environment_id: environmentId,
    timeout_minutes: z.number().positive().describe('Idle minutes from now on.'),
  }),
  facts: environmentFacts,
  async run({ environment_id: ref, timeout_minutes: minutes }, call) {
    const { spec } = await findEnvironment(ref, call)
    const idleTimeout = idleTimeoutOf(minutes, call.settings)
    if (idleTimeout === 0) throw bad('timeout_minutes', 'must be more than 0')
    return { facts: toEnvironment(await call.sandboxes.updateTimeouts(call.caller, spec.id, { idleTimeout })) }
  },
})
