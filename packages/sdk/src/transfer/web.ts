import { CoveError } from '@cove/domain'

function unsupported(): never {
  throw new CoveError(
    'unsupported',
    'this runtime has no files of its own',
    {},
    {
      fix: 'Use `files.write` with a Blob, and `files.read`.',
    },
  )
}

export const upload = unsupported
export const download = unsupported

export function packFolder(): never {
  throw new CoveError(
    'unsupported',
    'this runtime has no files of its own',
    {},
    {
      fix: 'Copy files from memory: `copy({ "main.py": source }, "/app")`.',
    },
  )
}
