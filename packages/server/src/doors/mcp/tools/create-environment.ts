import { CoveError, formatDuration, isLive, type Sandbox, type Timeout } from '@cove/domain'
import * as z from 'zod'
import type { CreateRequest } from '../../../sandboxes/request.ts'
import type { ToolCall } from '../call.ts'
import type { McpSettings } from '../settings.ts'
import { defineTool } from '../tool.ts'
import { runtime } from './arguments.ts'
import { RUNTIME_LABEL, environmentFacts, toEnvironment } from './environment.ts'

const MINUTE_MS = 60_000

export const createEnvironment = defineTool({
  name: 'create_environment',
  title: 'Create environment',
  description:
    'Creates an isolated environment for running code and answers with its id. Give it a name to find it again. ' +
    'It is destroyed after timeout_minutes without activity.',
  role: 'member',
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false },
  takesLong: true,
  input: z.strictObject({
    runtime: runtime.describe('What execute runs when it is told no language.'),
    name: z
      .string()
      .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'must be 1 to 63 of a-z, 0-9 and dash')
      .optional()
      .describe('Unique among your live environments; 1 to 63 of a-z, 0-9 and dash. Made up when absent.'),
    timeout_minutes: z.number().min(0).optional().describe('Idle minutes until it is destroyed. 0: the default.'),
    network: z
      .enum(['none', 'internet'])
      .optional()
      .describe('What it may reach. install_packages needs internet in most setups.'),
    template: z
      .string()
      .min(1)
      .max(512)
      .optional()
      .describe(
        'What it starts from: the name of a template, `host` (the default: programs of the host), or an image such as oci:alpine:3.20.',
      ),
    env: z.record(z.string(), z.string()).optional().describe('Variables of everything that runs in it.'),
  }),
  facts: environmentFacts,
  async run({ runtime: wanted, name, timeout_minutes: minutes = 0, network, template, env = {} }, call) {
    const { settings, noted } = call
    noted.details['runtime'] = wanted
    const idleTimeout = idleTimeoutOf(minutes, settings)
    const request = {
      ...(template === undefined ? {} : { template }),
      name: name ?? `${wanted}-${Buffer.from(call.random.bytes(4)).toString('hex')}`,
      limits: {},
      network: (network ?? settings.network) === 'internet' ? INTERNET : NONE,
      env,
      labels: { [RUNTIME_LABEL]: wanted },
      idleTimeout,
    }
    checkRoom(call)
    using told = call.progress.watch(() => `creating a ${wanted} environment`)
    void told
    const sandbox = await createInTime(request, call)
    noted.target = sandbox.spec.id
    return { facts: toEnvironment(sandbox) }
  },
})

const INTERNET = { kind: 'internet', allow: [] } as const
const NONE = { kind: 'none' } as const

export function idleTimeoutOf(minutes: number, { idleMs, maxIdleMs }: McpSettings): Timeout {
  if (minutes === 0) return idleMs
  const ms = Math.ceil(minutes * MINUTE_MS)
  if (maxIdleMs === 'never' || ms <= maxIdleMs) return ms
  throw new CoveError(
    'invalid-argument',
    `timeout_minutes is wrong: ${minutes} is more than the maximum of ${maxIdleMs / MINUTE_MS} (${formatDuration(maxIdleMs)})`,
    { field: 'timeout_minutes', most: maxIdleMs / MINUTE_MS },
    { fix: 'Ask for less; every call on an environment starts its idle time anew.' },
  )
}

/**
 * Counts what lives and what is being made, so that creates at the same time cannot pass the limit together. The
 * limit of the project, which several servers share, is held by the store.
 */
function checkRoom({ sandboxes, caller, settings, making }: ToolCall): void {
  const { maxEnvironments } = settings
  const own = [...making].filter(({ project }) => project === caller.project)
  const names = new Set<string | undefined>(own.map(({ name }) => name))
  const filter = { states: [], labels: {}, includeDeleted: false }
  let count = names.size
  let token: string | undefined
  do {
    const page = sandboxes.list(caller, { filter, size: 1_000, ...(token === undefined ? {} : { token }) })
    count += page.sandboxes.filter(({ spec, status }) => {
      return RUNTIME_LABEL in spec.labels && isLive(status.state) && !names.has(spec.name)
    }).length
    token = page.next
  } while (token !== undefined)
  if (count < maxEnvironments) return
  throw new CoveError(
    'quota-exceeded',
    `there are ${maxEnvironments} environments, which is the limit`,
    { limit: maxEnvironments },
    {
      fix: 'Destroy one with destroy_environment (list_environments shows them), or raise the setting mcpMaxEnvironments.',
    },
  )
}

/** What does not run in time, or is no longer wanted, is removed as soon as it can be. */
async function createInTime(request: CreateRequest & { name: string }, call: ToolCall): Promise<Sandbox> {
  const { sandboxes, caller, settings, signal, log } = call
  signal.throwIfAborted()
  const given = Promise.withResolvers<never>()
  const late = setTimeout(() => {
    const message = `the environment did not run within ${formatDuration(settings.bootMs)}`
    const fix = 'Try again, or raise the setting mcpBootTimeout.'
    given.reject(new CoveError('deadline-exceeded', message, {}, { fix }))
  }, settings.bootMs)
  const leave = (): void => given.reject(CoveError.from(signal.reason, 'cancelled'))
  signal.addEventListener('abort', leave, { once: true })
  const release = reserve(request.name, call)
  let wanted = true
  // Whoever asks here is an agent: what belongs to the node itself is not for it, whatever key it was given.
  const creating = sandboxes.create({ ...caller, operator: false }, request)
  const finish = async (): Promise<void> => {
    try {
      const { spec } = await creating
      if (!wanted) await sandboxes.delete(caller, spec.id)
    } finally {
      release()
    }
  }
  finish().catch((error: unknown) => log.debug('an environment was not made', { error: String(error) }))
  try {
    return await Promise.race([creating, given.promise])
  } catch (error) {
    wanted = false
    throw error
  } finally {
    clearTimeout(late)
    signal.removeEventListener('abort', leave)
  }
}

/** Counts an environment that is being made, until the returned function is called. */
function reserve(name: string, { making, caller: { project } }: ToolCall): () => void {
  const one = { project, name }
  making.add(one)
  return () => making.delete(one)
}
