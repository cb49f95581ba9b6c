import { rm } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import { runLayersProgram } from './layers-program.ts'

/**
 * Removes a folder and everything below it, following no link; nothing when it is not there. Where something is mounted
 * in it, that stays and this fails with `io-error`. Far faster than Node for the many small files of a layer.
 */
export async function removeTree(program: string, path: string): Promise<void> {
  try {
    await runLayersProgram(program, ['remove', path])
  } catch (thrown) {
    // Only a program that does not start; what one refuses to remove is not removed by other means.
    if (!(thrown instanceof CoveError) || thrown.code !== 'unsupported') throw thrown
    await rm(path, { recursive: true, force: true })
  }
}
