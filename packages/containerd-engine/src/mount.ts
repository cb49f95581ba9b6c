import type { Mount as WireMount } from './gen/containerd/types/types_pb.ts'

/** One call of mount(2), as containerd describes it. */
export interface Mount {
  readonly type: string
  readonly source: string
  readonly options: readonly string[]
}

export function toMounts(mounts: readonly WireMount[]): readonly Mount[] {
  return mounts.map(({ type, source, options }) => ({ type, source, options: [...options] }))
}

export function fromMounts(mounts: readonly Mount[]): { type: string; source: string; options: string[] }[] {
  return mounts.map(({ type, source, options }) => ({ type, source, options: [...options] }))
}
