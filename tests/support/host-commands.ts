import { readdir, readFile } from 'node:fs/promises'

/** Command lines of the host's processes that hold this text; the words of one are divided by NUL. */
export async function commandsWith(text: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc')) {
    const line = /^\d+$/.test(pid) ? await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') : ''
    if (line.includes(text)) found.push(line)
  }
  return found
}
