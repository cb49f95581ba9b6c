import * as z from 'zod'
import type { PortInfo } from '../../../ports/ports.ts'
import { defineTool } from '../tool.ts'
import { environmentId } from './arguments.ts'
import { findEnvironment } from './environment.ts'

const HOUR_MS = 3_600_000

const port = z.number().int().min(1).max(65_535).describe('TCP port inside the environment.')

const portFacts = z.object({
  port: z.number().int(),
  listening: z.boolean(),
  public: z.boolean().describe('Open to whoever knows its address; otherwise a key or a preview link is needed.'),
  url: z.string(),
  addresses: z.array(z.string()).describe('Addresses inside the environment that it listens on.'),
})

export const listPorts = defineTool({
  name: 'list_ports',
  title: 'List ports',
  description: 'Lists the TCP ports on which something listens in an environment, and those that are shared.',
  role: 'viewer',
  annotations: { readOnlyHint: true, openWorldHint: false },
  input: z.strictObject({ environment_id: environmentId }),
  facts: z.object({ ports: z.array(portFacts), count: z.number().int() }),
  async run({ environment_id: ref }, call) {
    const { spec } = await findEnvironment(ref, call)
    const ports = (await call.ports.list(call.caller, spec.id, call.host, call.signal)).map(toFacts)
    return { facts: { ports, count: ports.length } }
  },
})

export const sharePort = defineTool({
  name: 'share_port',
  title: 'Share port',
  description:
    'Makes a port open to everybody who knows its URL (public true), or private again (public false), and answers ' +
    'with its URL. To show a private port to one person use preview_url instead.',
  role: 'member',
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  input: z.strictObject({
    environment_id: environmentId,
    port,
    public: z.boolean().describe('true: everybody who knows the URL. false: only with a key or a preview link.'),
  }),
  facts: portFacts,
  async run({ environment_id: ref, port: number, public: isPublic }, call) {
    const { spec } = await findEnvironment(ref, call)
    call.noted.details['port'] = String(number)
    call.noted.details['public'] = String(isPublic)
    return { facts: toFacts(await call.ports.share(call.caller, spec.id, number, isPublic, call.host)) }
  },
})

export const previewUrl = defineTool({
  name: 'preview_url',
  title: 'Preview URL',
  description:
    'Makes a link that opens a private port of an environment in a browser, once; afterwards the browser keeps its ' +
    'access. Give it to the person who is to see it.',
  role: 'viewer',
  audited: true,
  annotations: { readOnlyHint: true, openWorldHint: false },
  input: z.strictObject({
    environment_id: environmentId,
    port,
    path: z.string().max(4_096).optional().describe('Absolute path and query on the port. Default /.'),
    expires_in_hours: z
      .number()
      .positive()
      .max(24)
      .optional()
      .describe('How long the browser has access. Default 1, at most 24.'),
  }),
  facts: z.object({ url: z.string(), open_before: z.string().describe('The link is good until then, once.') }),
  async run({ environment_id: ref, port: number, path = '/', expires_in_hours: hours = 1 }, call) {
    const { spec } = await findEnvironment(ref, call)
    call.noted.details['port'] = String(number)
    const request = { port: number, path, expiresInMs: hours * HOUR_MS }
    const { url, expiresAt } = await call.ports.previewUrl(call.caller, spec.id, request, call.host)
    return { facts: { url, open_before: new Date(expiresAt).toISOString() } }
  },
})

function toFacts({ addresses, ...info }: PortInfo): z.infer<typeof portFacts> {
  return { ...info, addresses: [...addresses] }
}
