import { CoveError, type FileContent, type FileInfo, type Guest } from '@cove/domain'
import * as z from 'zod'
import { bad } from '../../../sandboxes/request.ts'
import { checkPath } from '../../connect/from-wire.ts'
import type { ToolCall } from '../call.ts'
import { imageType } from '../image-type.ts'
import { MCP_LIMITS } from '../settings.ts'
import { utf8 } from '../text.ts'
import { defineTool, type ContentBlock } from '../tool.ts'
import { environmentId, filePath } from './arguments.ts'
import { findEnvironment } from './environment.ts'

const HOME = '/home/user'
/** How often a byte of a file is in memory while it is answered with: as it is, as text, and twice in the message. */
const COPIES = 6

export const writeFile = defineTool({
  name: 'write_file',
  title: 'Write file',
  description:
    'Writes a file in one step, replacing one that is there; missing directories are made. Text by default; with ' +
    'encoding base64 any bytes. At most 10 MiB.',
  role: 'member',
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  input: z.strictObject({
    environment_id: environmentId,
    path: filePath,
    content: z.string().describe('May be empty.'),
    encoding: z.enum(['utf-8', 'base64']).optional().describe('How content is written. Default utf-8.'),
  }),
  facts: z.object({ status: z.literal('written'), path: z.string(), bytes_written: z.number().int() }),
  async run({ environment_id: ref, path, content, encoding = 'utf-8' }, call) {
    checkPath(path)
    const bytes = encoding === 'base64' ? fromBase64(content) : fromText(content)
    checkSize(bytes.length)
    call.noted.details['path'] = path.slice(0, 200)
    using lease = await guestOf(ref, call)
    await lease.guest.writeFile(path, once(bytes), { mode: 0o644, parents: true }, call.signal)
    return { facts: { status: 'written', path, bytes_written: bytes.length } as const }
  },
})

export const readFile = defineTool({
  name: 'read_file',
  title: 'Read file',
  description:
    'Reads a file: text as text, an image as an image, and other bytes as base64, which encoding says. At most ' +
    '10 MiB at once; larger files are read in parts with offset and length.',
  role: 'viewer',
  annotations: { readOnlyHint: true, openWorldHint: false },
  input: z.strictObject({
    environment_id: environmentId,
    path: filePath,
    encoding: z.enum(['auto', 'base64']).optional().describe('auto: base64 only when it is not UTF-8. Default auto.'),
    offset: z.number().int().min(0).optional().describe('First byte. Default 0.'),
    length: z.number().int().min(1).max(MCP_LIMITS.fileBytes).optional().describe('Bytes. Default: to the end.'),
  }),
  facts: z.object({
    path: z.string(),
    encoding: z.enum(['utf-8', 'base64']),
    content: z.string(),
    size: z.number().int().describe('Bytes of the whole file.'),
    bytes_read: z.number().int(),
    offset: z.number().int(),
  }),
  async run({ environment_id: ref, path, encoding = 'auto', offset = 0, length }, call) {
    checkPath(path)
    using lease = await guestOf(ref, call)
    const { info, bytes } = await readPart(lease.guest, path, offset, length, call)
    const text = encoding === 'auto' ? utf8(bytes) : undefined
    const content = text ?? Buffer.from(bytes).toString('base64')
    // It may have grown meanwhile.
    const size = bytes.length === 0 ? info.size : Math.max(info.size, offset + bytes.length)
    const facts = { path, content, size, bytes_read: bytes.length, offset }
    if (text !== undefined) return { facts: { ...facts, encoding: 'utf-8' }, content: [{ type: 'text', text }] }
    return { facts: { ...facts, encoding: 'base64' }, content: binaryBlocks(path, bytes, content, encoding) }
  },
})

export const listFiles = defineTool({
  name: 'list_files',
  title: 'List files',
  description: 'Lists the entries of a directory.',
  role: 'viewer',
  annotations: { readOnlyHint: true, openWorldHint: false },
  input: z.strictObject({
    environment_id: environmentId,
    path: filePath.optional().describe(`Absolute path of a directory. Default ${HOME}.`),
  }),
  facts: z.object({
    path: z.string(),
    files: z.array(
      z.object({
        name: z.string(),
        size: z.number().int(),
        is_dir: z.boolean(),
        type: z.enum(['file', 'directory', 'symlink', 'other']),
        mode: z.string().describe('Permission bits in octal.'),
        modified: z.string(),
      }),
    ),
    count: z.number().int(),
    truncated: z.boolean().describe('There are more entries than are listed.'),
  }),
  async run({ environment_id: ref, path = HOME }, call) {
    checkPath(path)
    using lease = await guestOf(ref, call)
    const found: FileInfo[] = []
    let truncated = false
    for await (const entry of lease.guest.list(path, { depth: 1 }, call.signal)) {
      truncated = found.length === MCP_LIMITS.entries
      if (truncated) break
      found.push(entry)
    }
    const files = found
      .toSorted((one, other) => (one.name < other.name ? -1 : 1))
      .map(({ name, size, type, mode, modifiedAt }) => ({
        name,
        size,
        is_dir: type === 'directory',
        type,
        mode: mode.toString(8).padStart(4, '0'),
        modified: new Date(modifiedAt).toISOString(),
      }))
    return { facts: { path, files, count: files.length, truncated } }
  },
})

async function guestOf(ref: string, call: ToolCall) {
  const { spec } = await findEnvironment(ref, call)
  return call.sandboxes.guest(call.caller, spec.id)
}

async function readPart(
  guest: Guest,
  path: string,
  offset: number,
  length: number | undefined,
  { signal, hold }: ToolCall,
): Promise<{ info: FileContent['info']; bytes: Uint8Array }> {
  const most = MCP_LIMITS.fileBytes
  const { info, content } = await guest.readFile(path, { offset, length: length ?? most + 1 }, signal)
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of content) {
    hold(chunk.length * COPIES)
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > most) {
      throw new CoveError(
        'payload-too-large',
        `${path} has ${info.size} bytes; at most ${most} can be read at once`,
        { bytes: info.size, limit: most },
        { fix: 'Read it in parts with offset and length.' },
      )
    }
  }
  return { info, bytes: Buffer.concat(chunks, bytes) }
}

/** What a model can look at, else the bytes as they are; and a sentence that says so. */
function binaryBlocks(path: string, bytes: Uint8Array, base64: string, encoding: 'auto' | 'base64'): ContentBlock[] {
  const image = encoding === 'auto' ? imageType(bytes) : undefined
  if (image !== undefined) {
    const text = `${path} is an image (${image}, ${bytes.length} bytes).`
    return [
      { type: 'text', text },
      { type: 'image', data: base64, mimeType: image },
    ]
  }
  const why = encoding === 'base64' ? '' : ' It is not UTF-8.'
  const text = `${path}: ${bytes.length} bytes, encoded as base64.${why}`
  const uri = `file://${path.split('/').map(encodeURIComponent).join('/')}`
  const resource = { uri, mimeType: 'application/octet-stream', blob: base64 }
  return [
    { type: 'text', text },
    { type: 'resource', resource },
  ]
}

function fromText(content: string): Buffer {
  if (!content.isWellFormed()) throw bad('content', 'has a lone surrogate, which is no Unicode text; use base64')
  return Buffer.from(content, 'utf8')
}

function fromBase64(content: string): Buffer {
  const compact = content.replace(/\s+/g, '')
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact) || compact.replace(/=+$/, '').length % 4 === 1) {
    throw bad('content', 'is not base64')
  }
  return Buffer.from(compact, 'base64')
}

function checkSize(bytes: number): void {
  const limit = MCP_LIMITS.fileBytes
  if (bytes <= limit) return
  throw new CoveError(
    'payload-too-large',
    `content has ${bytes} bytes; at most ${limit} are allowed`,
    { field: 'content', bytes, limit },
    { fix: 'Write it in parts to several files and join them with execute.' },
  )
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}
