import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeTree } from '../remove-tree.ts'

/** What `tooling/build-layers.sh` has built. */
export const PROGRAM = join(import.meta.dirname, '../../../../../build/cove-layers')

/** A folder of its own for one test, gone afterwards. */
export function scratch(): { readonly path: string } & AsyncDisposable {
  const path = mkdtempSync(join(tmpdir(), 'cove-test-layers-'))
  return { path, [Symbol.asyncDispose]: async () => await removeTree(PROGRAM, path) }
}

/** Runs a shell script in a folder; its output. */
export function sh(folder: string, script: string): string {
  return execFileSync('sh', ['-euc', script], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

export async function* chunksOf(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
