import type { RootSource } from './take-root.ts'

/** A folder of the node, copied as it is. */
export function directoryRoot(path: string): RootSource {
  return {
    comment: 'a directory',
    defaults: {},
    async fill({ layers }, into, { signal, progress }) {
      progress({ step: 'copying the directory' })
      return await layers.copy({ content: { kind: 'upper', parts: [{ path, at: '/' }], idBase: 0 }, into, signal })
    },
  }
}
