import type { MountSpec } from '@cove/runner'
import { STAGE } from '../launched/stage.ts'

/** Where a runtime keeps what it knows of its containers. */
export const STATE = `${STAGE}/run`
/** Holds `config.json`: a link to the descriptor that the launcher passes. */
export const BUNDLE = `${STAGE}/bundle`

/** How one runtime differs from another. */
export interface RuntimeFlavour {
  /** Of the program, and of the driver. */
  readonly name: 'crun' | 'runc'
  /** Which part of the host's user ids its machines get. */
  readonly share: number
  /** Before the subcommand. */
  readonly globalFlags: readonly string[]
  /** What it wants to find on the stage. */
  readonly mounts: readonly MountSpec[]
  readonly env: Readonly<Record<string, string>>
  /** It makes no machine for an ordinary user, who has only one id. */
  readonly needsRoot?: true
  /** Takes the filter as a program, from this version on: making one of a profile takes it half of its time. */
  readonly takesProgramFrom?: readonly [major: number, minor: number]
}

/** Annotation with the filter as a program. */
export const FILTER_ANNOTATION = 'run.oci.seccomp_bpf_data'

/** Whether a version, such as `crun version 1.8.1`, takes the filter as a program. */
export function takesProgram({ takesProgramFrom }: RuntimeFlavour, version: string): boolean {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(version) ?? []
  if (takesProgramFrom === undefined || major === undefined) return false
  const [fromMajor, fromMinor] = takesProgramFrom
  return Number(major) > fromMajor || (Number(major) === fromMajor && Number(minor) >= fromMinor)
}

export const RUNTIMES: Readonly<Record<RuntimeFlavour['name'], RuntimeFlavour>> = {
  crun: {
    name: 'crun',
    share: 1,
    globalFlags: ['--cgroup-manager', 'disabled'],
    // By what is mounted there it tells how control groups are set up; this says that it has none of its own.
    mounts: [{ kind: 'tmpfs', target: `${STAGE}/fs/cgroup`, sizeBytes: 4096, mode: 0o755 }],
    env: {},
    takesProgramFrom: [1, 8],
  },
  // Told that it may do little it goes on where it can make no control groups; those of the launcher hold.
  runc: {
    name: 'runc',
    share: 2,
    globalFlags: ['--rootless', 'true'],
    mounts: [],
    env: { GOMAXPROCS: '1' },
    needsRoot: true,
  },
}
