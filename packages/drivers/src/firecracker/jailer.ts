import { basename } from 'node:path'
import { CoveError } from '@cove/domain'

/** What one Firecracker process is allowed, as its jailer makes it so. */
export interface Jail {
  /** Path of the program `jailer`. */
  readonly jailer: string
  /** Path of the program `firecracker`; its name has that word in it. */
  readonly firecracker: string
  /** Letters, digits and hyphens, at most 64. */
  readonly id: string
  /** Whom it runs as, from when it has been shut in. Never 0. */
  readonly uid: number
  readonly gid: number
  /** Folder below which the jail is made. */
  readonly base: string
  /** Files of its cgroup with their values. Absent: it stays in the one that it is started in. */
  readonly cgroups?: {
    readonly version: 1 | 2
    readonly parent?: string
    readonly values: Readonly<Record<string, string>>
  }
  /** Path of a network namespace to enter. Absent: it stays in the one that it is started in. */
  readonly networkNamespace?: string
  /** Firecracker is the first process of a namespace of its own; the jailer then ends before it does. */
  readonly newPidNamespace?: boolean
  readonly limits?: {
    /** The largest file that it may write, in bytes. */
    readonly fileBytes?: number
    readonly openFiles?: number
  }
  /** Firecracker's own arguments, with paths as they are inside. */
  readonly arguments: readonly string[]
}

const ID = /^[0-9A-Za-z-]{1,64}$/
const CGROUP_FILE = /^[a-z]+(?:\.[a-z_]+)+$/

/** The command line that makes a jail and becomes Firecracker in it. `invalid-argument` for what the jailer refuses. */
export function jailerArgv(jail: Jail): readonly string[] {
  const { cgroups, limits = {}, networkNamespace } = jail
  check(ID.test(jail.id), 'id', 'has 1 to 64 letters, digits and hyphens')
  check(basename(jail.firecracker).includes('firecracker'), 'firecracker', 'has `firecracker` in its name')
  for (const name of ['uid', 'gid'] as const) check(isId(jail[name]), name, 'is a number that is not 0')
  const values = Object.entries(cgroups?.values ?? {})
  for (const [file, value] of values) {
    check(CGROUP_FILE.test(file) && value !== '', 'cgroups', 'names files of a cgroup, with a value for each')
  }
  return [
    jail.jailer,
    '--id',
    jail.id,
    '--exec-file',
    jail.firecracker,
    '--uid',
    `${jail.uid}`,
    '--gid',
    `${jail.gid}`,
    '--chroot-base-dir',
    jail.base,
    ...(cgroups === undefined ? [] : ['--cgroup-version', `${cgroups.version}`]),
    ...(cgroups?.parent === undefined ? [] : ['--parent-cgroup', cgroups.parent]),
    ...values.flatMap(([file, value]) => ['--cgroup', `${file}=${value}`]),
    ...(networkNamespace === undefined ? [] : ['--netns', networkNamespace]),
    ...(jail.newPidNamespace === true ? ['--new-pid-ns'] : []),
    ...(limits.fileBytes === undefined ? [] : ['--resource-limit', `fsize=${limits.fileBytes}`]),
    ...(limits.openFiles === undefined ? [] : ['--resource-limit', `no-file=${limits.openFiles}`]),
    '--',
    ...jail.arguments,
  ]
}

/** The folder that the process has for its root. */
export function jailRoot({ base, firecracker, id }: Pick<Jail, 'base' | 'firecracker' | 'id'>): string {
  return `${base}/${basename(firecracker)}/${id}/root`
}

const isId = (value: number): boolean => Number.isInteger(value) && value > 0 && value < 2 ** 32 - 1

function check(holds: boolean, field: string, rule: string): void {
  if (!holds) throw new CoveError('invalid-argument', `of a jail, ${field} ${rule}`, { field })
}
