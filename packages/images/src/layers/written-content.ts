import type { DiskContent } from '@cove/domain'

/** Upper directories of overlays, or plain folders (`idBase` 0, `at` `/`). */
export type WrittenContent = Extract<DiskContent, { kind: 'upper' }>

/** As the program takes it. */
export function contentArguments({ parts, idBase, below }: WrittenContent): readonly string[] {
  return [
    ...parts.flatMap(({ path, at }) => ['--upper', path, '--at', at]),
    '--id-base',
    String(idBase),
    ...(below === undefined ? [] : ['--below', below]),
  ]
}
