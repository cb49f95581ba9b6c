import { join } from 'node:path'
import { build } from 'esbuild'
import { refuseUnknownSiblings } from './siblings.ts'

export interface Bundle {
  /** Name in `dist` to content. */
  readonly files: ReadonlyMap<string, Uint8Array>
  /** Every source that is in it, relative to the checkout. */
  readonly inputs: readonly string[]
}

/** What CommonJS dependencies find in every module; of their own they only ask for what Node has built in. */
const REQUIRE =
  "import { createRequire as coveCreateRequire } from 'node:module'; const require = coveCreateRequire(import.meta.url);"

/**
 * Command line, daemon, store's thread and all of their dependencies as JavaScript modules: one for each part that is
 * loaded by itself, so that a small command reads little.
 */
export async function bundle(root: string): Promise<Bundle> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: {
      start: 'packages/cli/src/start.ts',
      worker: 'packages/store/src/embedded/worker.ts',
    },
    inject: ['tooling/release/node-22/disposable-stacks.ts'],
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22.18',
    outdir: join(root, 'dist'),
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
    banner: { js: REQUIRE },
    legalComments: 'none',
    // Names stay, so that a stack trace says where it comes from.
    minifyWhitespace: true,
    minifySyntax: true,
    charset: 'utf8',
    metafile: true,
    write: false,
    logLevel: 'silent',
  })
  if (result.warnings.length > 0) throw new Error(result.warnings.map(({ text }) => text).join('\n'))
  const inputs = Object.keys(result.metafile.inputs).toSorted()
  refuseUnknownSiblings(root, inputs)
  const files = result.outputFiles.map(
    ({ path, contents }) => [path.slice(join(root, 'dist/').length), contents] as const,
  )
  return { files: new Map(files.toSorted(([a], [b]) => (a < b ? -1 : 1))), inputs }
}
