import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Sources that look for files beside themselves. In a bundle every module stands in `dist`, so each of them has to be
 * right there too: the manifest and the guest programs are found above `dist`, the store's thread is an entry of its own.
 */
const KNOWN: readonly string[] = [
  'packages/cli/src/package-root.ts',
  'packages/runner/src/native/guest-program.ts',
  'packages/store/src/embedded/open-embedded-store.ts',
]

/** Of others, and harmless: an example in a comment, and pino's threads, which Cove's log does without. */
const UNUSED: readonly string[] = [
  'node_modules/commander/lib/command.js',
  'node_modules/pino/lib/transport.js',
  'node_modules/pino/pino.js',
  'node_modules/thread-stream/index.js',
]

const LOOKS_BESIDE_ITSELF = /import\.meta\.(?:dirname|filename|url|resolve)|\b__dirname\b|\b__filename\b|new Worker\(/

/** Throws when a source looks for a file beside itself and nobody has made sure that it is there in the package. */
export function refuseUnknownSiblings(root: string, inputs: readonly string[]): void {
  const found = inputs.filter(
    (path) => /\.[cm]?[jt]s$/.test(path) && LOOKS_BESIDE_ITSELF.test(readFileSync(join(root, path), 'utf8')),
  )
  const unknown = found.filter((path) => !KNOWN.includes(path) && !UNUSED.includes(path))
  if (unknown.length > 0) {
    throw new Error(`these look for files beside themselves, which a bundle does not have: ${unknown.join(', ')}`)
  }
}
