import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

/** Names and hashes of everything in the directory: equal means untouched. */
export async function hashes(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const lines = entries.map(async (entry) => {
    const file = path.join(entry.parentPath, entry.name)
    if (!entry.isFile()) return file
    return `${file} ${createHash('sha256')
      .update(await readFile(file))
      .digest('hex')}`
  })
  return (await Promise.all(lines)).toSorted()
}
