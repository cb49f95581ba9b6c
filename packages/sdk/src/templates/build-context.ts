import { CoveError } from '@cove/domain'
import { tarOf, type TarEntry } from './tar.ts'

/** What one `copy` step puts into an image, as an archive that can be read more than once. */
export interface BuildContext {
  /** `sha256:` and hex. */
  readonly digest: string
  /** Fails when what it is made of has changed since. */
  readonly content: () => AsyncIterable<Uint8Array>
}

/** Files by their path below the target of the copy; text is UTF-8. */
export type ContextFiles = Readonly<Record<string, string | Uint8Array>>

/** What a program holds in memory. */
export async function contextOfFiles(files: ContextFiles): Promise<BuildContext> {
  const names = Object.keys(files).toSorted()
  if (names.length === 0) throw new CoveError('invalid-argument', 'a copy names no files', { field: 'copy' })
  const chunks: Uint8Array[] = []
  for await (const chunk of tarOf(entriesOf(files, names))) chunks.push(chunk)
  const archive = joined(chunks)
  const { subtle } = globalThis.crypto ?? {}
  if (subtle === undefined) {
    throw new CoveError(
      'unsupported',
      'this page may not compute digests',
      {},
      {
        fix: 'Open the page over https, or from localhost.',
      },
    )
  }
  const hash = new Uint8Array(await subtle.digest('SHA-256', archive))
  const hex = Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return { digest: `sha256:${hex}`, content: () => once(archive) }
}

/** Parents come before what is in them, each once. */
function* entriesOf(files: ContextFiles, names: readonly string[]): Generator<TarEntry> {
  const made = new Set<string>()
  for (const name of names) {
    const path = checkName(name)
    const parts = path.split('/')
    for (let length = 1; length < parts.length; length++) {
      const directory = parts.slice(0, length).join('/')
      if (!made.has(directory)) yield { type: 'directory', path: directory }
      made.add(directory)
    }
    const given = files[name] ?? ''
    const bytes = typeof given === 'string' ? new TextEncoder().encode(given) : given
    yield {
      type: 'file',
      path,
      executable: bytes[0] === 0x23 && bytes[1] === 0x21,
      size: bytes.length,
      content: () => once(bytes),
    }
  }
}

function checkName(name: string): string {
  const parts = name.split('/')
  const bad = parts.some((part) => part === '' || part === '.' || part === '..') || name.includes('\0')
  if (!bad) return name
  throw new CoveError('invalid-argument', `${JSON.stringify(name.slice(0, 200))} is not a path below the target`, {
    field: 'copy',
  })
}

function joined(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}
