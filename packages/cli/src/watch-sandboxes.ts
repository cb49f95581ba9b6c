import type { Cove, ListFilter, SandboxInfo } from '@cove/sdk'
import { Interrupts } from './attach/interrupts.ts'
import { Sink } from './attach/sink.ts'
import { STATUS } from './exit-status.ts'
import type { Io } from './io.ts'
import { sandboxColumns } from './render/sandbox.ts'
import { Table } from './render/table.ts'

interface Options {
  readonly filter: ListFilter
  /** Only these ids, and no longer than one of them is there; absent: all, until Ctrl-C. */
  readonly ids?: ReadonlySet<string>
  readonly format: 'table' | 'json'
  readonly line?: (sandbox: SandboxInfo) => string
}

/** The sandboxes as they are, then a line for every change. With JSON, an object on each line. */
export async function watchSandboxes(cove: Cove, io: Io, options: Options): Promise<number> {
  const { filter, ids, format } = options
  using interrupts = new Interrupts(io)
  using sink = new Sink(io.stdout)
  const table = new Table(sandboxColumns(Date.now))
  const line = options.line ?? ((sandbox) => (format === 'json' ? `${JSON.stringify(sandbox)}\n` : table.row(sandbox)))
  const left = new Set(ids)
  let first: SandboxInfo[] | undefined = []
  try {
    for await (const event of cove.sandboxes.watch({ ...filter, signal: interrupts.first })) {
      if (event.type === 'synced') {
        if (first === undefined) continue
        const head = format === 'json' || options.line !== undefined ? '' : table.header(first)
        await sink.write(head + first.map(line).join(''))
        first = undefined
      } else if (ids === undefined || ids.has(event.sandbox.id)) {
        if (first === undefined) await sink.write(line(event.sandbox))
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
