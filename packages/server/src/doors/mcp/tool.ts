import { CoveError, type Role } from '@cove/domain'
import type { CallToolResult, ToolAnnotations } from '@modelcontextprotocol/server'
import type * as z from 'zod'
import { requireRole } from '../../auth/principal.ts'
import { logFailure } from '../log-failure.ts'
import type { Sender, ToolCall } from './call.ts'
import { describeIssues } from './describe-issues.ts'
import { explain } from './explain.ts'
import { jsonSchema, type JsonSchema } from './json-schema.ts'
import { toolFix } from './tool-fix.ts'

export type ContentBlock = CallToolResult['content'][number]

/** What a tool answers with. Without content of its own the text is the JSON of the facts. */
export interface ToolAnswer<Facts> {
  readonly facts: Facts
  readonly content?: ContentBlock[]
}

interface ToolSpec<Input, Facts> {
  readonly name: string
  readonly title: string
  readonly description: string
  /** The least role that may call it. */
  readonly role: Role
  /** Whether its calls go to the audit log. Default: when it needs more than `viewer`. */
  readonly audited?: boolean
  readonly annotations: ToolAnnotations
  /** May take longer than a few seconds. */
  readonly takesLong?: boolean
  readonly input: z.ZodObject & z.ZodType<Input>
  readonly facts: z.ZodType<Facts>
  readonly run: (input: Input, call: ToolCall) => Promise<ToolAnswer<Facts>>
}

/** A tool as the protocol needs it: its schemas are JSON, and it never throws. */
export interface Tool {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly annotations: ToolAnnotations
  readonly takesLong: boolean
  readonly inputSchema: JsonSchema
  readonly outputSchema: JsonSchema
  call(args: unknown, call: ToolCall, sender: Sender): Promise<CallToolResult>
}

export function defineTool<Input, Facts>(spec: ToolSpec<Input, Facts>): Tool {
  const { name, title, description, role, annotations, audited = role !== 'viewer' } = spec
  const known = Object.keys(spec.input.shape)
  const run = async (args: unknown, call: ToolCall): Promise<ToolAnswer<Facts>> => {
    requireRole(call.caller, role)
    const parsed = spec.input.safeParse(args ?? {})
    if (!parsed.success) {
      throw new CoveError(
        'invalid-argument',
        describeIssues(parsed.error.issues, known, args),
        {},
        { fix: `The arguments of ${name} are: ${known.join(', ')}.` },
      )
    }
    return spec.run(parsed.data, call)
  }
  return {
    name,
    title,
    description,
    annotations: { title, ...annotations },
    takesLong: spec.takesLong === true,
    inputSchema: jsonSchema(spec.input, 'input'),
    outputSchema: jsonSchema(spec.facts, 'output'),
    async call(args, call, sender) {
      let outcome = 'ok'
      try {
        const { facts, content } = await run(args, call)
        return {
          content: content ?? [{ type: 'text', text: JSON.stringify(facts, null, 2) }],
          structuredContent: { ...facts },
        }
      } catch (thrown) {
        const error = await explain(CoveError.from(thrown), call)
        outcome = error.code
        logFailure(call.log, error, { requestId: sender.requestId, tool: name })
        return failure(error, sender.requestId)
      } finally {
        if (audited) record(name, outcome, call, sender)
      }
    },
  }
}

/** The real reason and what can be done, as text for a model and as facts for a program. */
function failure(error: CoveError, requestId: string): CallToolResult {
  const { code, message, context, transient } = error
  const fix = toolFix(error)
  return {
    isError: true,
    content: [{ type: 'text', text: `error: ${message}\ncode: ${code}\nfix: ${fix}` }],
    _meta: { 'cove.dev/error': { code, message, fix, transient, context: { ...context }, requestId } },
  }
}

function record(name: string, outcome: string, { audit, clock, caller, noted }: ToolCall, sender: Sender): void {
  audit.record({
    at: clock.now(),
    project: caller.project,
    key: caller.key,
    role: caller.role,
    action: `mcp/${name}`,
    target: noted.target,
    details: noted.details,
    from: sender.from,
    outcome,
    requestId: sender.requestId,
  })
}
