import { rm } from 'node:fs/promises'
import { runLayersProgram } from './layers-program.ts'

/**
 * Removes a folder and everything below it, following no link and leaving mounts alone; nothing when it is not there.
 * Far faster than Node for the many small files of a layer.
 */
export async function removeTree(program: string, path: string): Promise<void> {
  try {
    await runLayersProgram(program, ['remove', path])
  } catch {
    // Says what is wrong with the path itself, and does without the program where that is what is wrong.
    await rm(path, { recursive: true, force: true })
  }
}
