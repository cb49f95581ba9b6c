import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Io } from '../io.ts'
import type { Candidate } from './complete.ts'

/** The user's own files, as every shell completes them: hidden ones only where a dot was typed. */
export function localFiles(typed: string, io: Io): readonly Candidate[] {
  const slash = typed.lastIndexOf('/') + 1
  const [shown, begun] = [typed.slice(0, slash), typed.slice(slash)]
  const directory = shown.startsWith('~/') ? join(io.env['HOME'] ?? '/', shown.slice(2)) : shown || '.'
  return readdirSync(directory)
    .filter((name) => name.startsWith(begun) && (begun.startsWith('.') || !name.startsWith('.')))
    .toSorted()
    .map((name) => {
      const open = isDirectory(join(directory, name))
      return { value: `${shown}${name}${open ? '/' : ''}`, open }
    })
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
