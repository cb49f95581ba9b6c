import { spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { access, constants } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import { decompressed } from '../layers/decompress.ts'
import { sniffFile } from '../store/sniff-compression.ts'
import type { RootSource } from './take-root.ts'
import { findProgram } from './find-program.ts'

/** A tar archive of the node, compressed or not, as any tar writes it: `.wh.` names mean nothing special in it. */
export function tarRoot(path: string): RootSource {
  return {
    comment: 'a tar archive',
    defaults: {},
    async fill({ layers }, into, { signal, progress }) {
      progress({ step: 'unpacking the archive' })
      await access(path, constants.R_OK)
      return await layers.unpackFiles({ tar: readTar(path, signal), into, at: '/', signal })
    },
  }
}

async function* readTar(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const compression = await sniffFile(path)
  if (compression === 'xz' || compression === 'bzip2') yield* throughProgram(compression, path, signal)
  else yield* decompressed(createReadStream(path, { highWaterMark: 1 << 20, signal }), compression)
}

/** What Node cannot undo, the program of that name does. */
async function* throughProgram(name: 'xz' | 'bzip2', path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const program = await findProgram(name)
  if (program === undefined) {
    throw new CoveError(
      'unsupported',
      `the archive is compressed with ${name}, which is not installed`,
      {},
      {
        fix: `Install ${name === 'xz' ? 'xz-utils' : 'bzip2'}, or decompress the archive.`,
      },
    )
  }
  const child = spawn(program, ['-dc', '--', path], { env: {}, stdio: ['ignore', 'pipe', 'ignore'], signal })
  const ended = new Promise<number | null>((resolve) => {
    child.on('error', () => resolve(null)).on('close', resolve)
  })
  try {
    for await (const chunk of child.stdout) yield chunk as Uint8Array
    if ((await ended) !== 0) throw new CoveError('image-invalid', 'the archive does not decompress')
  } finally {
    child.kill('SIGKILL')
    await ended
  }
}
