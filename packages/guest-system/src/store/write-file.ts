import { open } from 'node:fs/promises'

/** Writes a new file that outlives a loss of power, and that everybody may read: VMs run as users of their own. */
export async function writeNewFile(path: string, content: Uint8Array | string): Promise<void> {
  await using file = await open(path, 'wx')
  await file.writeFile(content)
  await file.chmod(0o644)
  await file.sync()
}
