import type { Cove, ListFilter, SandboxInfo } from '@cove/sdk'
import { Interrupts } from './attach/interrupts.ts'
import { Sink } from './attach/sink.ts'
import { STATUS } from './exit-status.ts'
import type { Io } from './io.ts'
import type { OutputFormat } from './options/output-options.ts'
import { streamText } from './render/data.ts'
import { tableWidth } from './render/list.ts'
import { sandboxColumns } from './render/sandbox.ts'
import { Table } from './render/table.ts'

interface Options {
  readonly filter: ListFilter
  /** Only these ids, and no longer than one of them is there; absent: all, until Ctrl-C. */
  readonly ids?: ReadonlySet<string>
  readonly format: OutputFormat
  readonly headers?: boolean
  readonly line?: (sandbox: SandboxInfo) => string
}

/** The sandboxes as they are, then a line for every change. With JSON an object on each line, with YAML a document. */
export async function watchSandboxes(cove: Cove, io: Io, options: Options): Promise<number> {
  const { filter, ids, format, headers = true } = options
  using interrupts = new Interrupts(io)
  using sink = new Sink(io.stdout)
  const table = new Table(sandboxColumns(Date.now), tableWidth(io))
  const line = async (sandbox: SandboxInfo): Promise<string> => {
    if (options.line !== undefined) return options.line(sandbox)
    return format === 'table' ? table.row(sandbox) : streamText(format, sandbox)
  }
  const left = new Set(ids)
  let first: SandboxInfo[] | undefined = []
  try {
    for await (const event of cove.sandboxes.watch({ ...filter, signal: interrupts.first })) {
      if (event.type === 'synced') {
        if (first === undefined) continue
        const head = table.header(first)
        if (format === 'table' && options.line === undefined && headers) await sink.write(head)
        await sink.write((await Promise.all(first.map(line))).join(''))
        first = undefined
      } else if (ids === undefined || ids.has(event.sandbox.id)) {
        if (first === undefined) await sink.write(await line(event.sandbox))
        else first.push(event.sandbox)
        if (event.sandbox.state === 'deleted') left.delete(event.sandbox.id)
      }
      if (ids !== undefined && left.size === 0 && first === undefined) return STATUS.ok
    }
  } catch (thrown) {
    if (!interrupts.first.aborted) throw thrown
  }
  return interrupts.status ?? STATUS.ok
}
