import { opendir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import type { Unpack } from '../kernel/kernel-payload.ts'
import { moduleFacts } from './module-facts.ts'
import type { ModulesOfKernel } from './choose-modules.ts'

/** Larger than any module. */
const MOST = 64 * 1024 * 1024
const MAX_FILES = 50_000

/** The modules under a folder such as `/lib/modules/6.1.0-1-amd64`. */
export async function modulesUnder(folder: string, unpack: Unpack): Promise<ModulesOfKernel> {
  const files = new Map<string, string>()
  let seen = 0
  for await (const entry of await opendir(folder, { recursive: true })) {
    if (++seen > MAX_FILES) break
    if (entry.isFile() && /\.ko(?:\.gz|\.xz|\.zst)?$/.test(entry.name)) {
      files.set(nameOf(entry.name), join(entry.parentPath, entry.name))
    }
  }
  const builtIn = await readFile(join(folder, 'modules.builtin'), 'utf8').catch(() => '')
  return {
    builtIn: new Set(builtIn.split('\n').map((line) => nameOf(basename(line.trim())))),
    read: async (name) => {
      const path = files.get(name)
      if (path === undefined) return undefined
      const content = await decompress(path, await readFile(path), unpack)
      return { name, content, facts: moduleFacts(content) }
    },
  }
}

const nameOf = (file: string): string => file.replace(/\.ko(?:\.\w+)?$/, '').replaceAll('-', '_')

async function decompress(path: string, content: Buffer, unpack: Unpack): Promise<Buffer> {
  if (path.endsWith('.gz')) return gunzipSync(content, { maxOutputLength: MOST })
  if (path.endsWith('.zst')) return zstdDecompressSync(content, { maxOutputLength: MOST })
  if (path.endsWith('.xz')) return await unpack('xz', content, MOST)
  return content
}
