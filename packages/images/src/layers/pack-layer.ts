import type { DiskContent } from '@cove/domain'
import { startLayersProgram } from './layers-program.ts'
import { contentArguments } from './written-content.ts'

/**
 * One layer as in the OCI image specification, not compressed: the same content gives the same bytes. Files that vanish
 * meanwhile are left out. Errors: `unsupported` for what a layer cannot say, `io-error`, `cancelled`.
 */
export async function* packLayer(
  program: string,
  content: DiskContent,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (content.kind === 'tar') {
    yield* content.tar
    return
  }
  await using run = startLayersProgram(program, ['pack', ...contentArguments(content)], signal)
  run.stdin.end()
  for await (const chunk of run.stdout) yield chunk as Uint8Array
  await run.ended
}
