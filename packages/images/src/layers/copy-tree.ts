import { parseLayerReport, type LayerReport } from './layer-report.ts'
import { runLayersProgram } from './layers-program.ts'
import { makeTree } from './make-tree.ts'
import { contentArguments, type WrittenContent } from './written-content.ts'

export interface CopyTreeRequest {
  readonly content: WrittenContent
  /** A folder that is not there yet, in one that is; gone again when anything fails. */
  readonly into: string
  /** Waits until all of it is on the disk. Default false. */
  readonly sync?: boolean
  readonly signal?: AbortSignal
}

/**
 * Copies what was written over a root into a folder that is a layer itself: links, holes, attributes and whiteouts are
 * kept, owners become the image's own. Shares the content where the file system can. Errors: `unsupported`, `no-space`,
 * `io-error`, `cancelled`.
 */
export async function copyTree(program: string, request: CopyTreeRequest): Promise<LayerReport> {
  const { content, into, sync = false, signal } = request
  const args = ['copy', '--into', into, ...contentArguments(content), ...(sync ? ['--sync'] : [])]
  return await makeTree(program, into, async () => parseLayerReport(await runLayersProgram(program, args, signal)))
}
