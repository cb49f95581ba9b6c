import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'

interface SourceChange {
  readonly file: string
  readonly from: string
  readonly to: string
}

/** What is different in the source before it is built. */
export const SOURCE_CHANGES: Readonly<Record<string, readonly SourceChange[]>> = {
  x86_64: [
    {
      // Memory that only the start needed is filled with a pattern before it is given back. Under software emulation
      // every write there is to code that was translated, which costs a tenth of a second.
      file: 'arch/x86/mm/init.c',
      from: 'POISON_FREE_INITMEM, what);',
      to: '-1, what);',
    },
  ],
}

/** `kernel-invalid` where a source is not the one that the changes were made for. */
export async function changeSource(tree: string, machine: string): Promise<void> {
  for (const { file, from, to } of SOURCE_CHANGES[machine] ?? []) {
    const path = join(tree, file)
    const text = await readFile(path, 'utf8').catch(() => '')
    if (text.split(from).length !== 2) {
      throw new CoveError('kernel-invalid', `${file} of the kernel's source is not as it was expected to be`, { file })
    }
    await writeFile(path, text.replace(from, to))
  }
}
