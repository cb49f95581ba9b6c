import type { HostProcessSpec, MountSpec } from '@cove/runner'
import { ROOT, STAGE } from '../launched/stage.ts'

/** What the program that runs a virtual machine may see of the host, and nothing else. */
export interface Confinement {
  /** The folder with a place for the root. */
  readonly stage: string
  readonly bwrap: string
  /** Command line of the program, by what it sees. */
  readonly argv: readonly string[]
  /** Top-level folders of a host whose `/usr` is not merged. */
  readonly unmerged: readonly string[]
  /** Its files by the names that it sees them under, all directly in its root. */
  readonly files: readonly { readonly name: string; readonly source: string; readonly readOnly: boolean }[]
  /** Folders of volumes by their names, with the machine's numbers of owners. */
  readonly volumes: readonly { readonly name: string; readonly source: string; readonly readOnly: boolean }[]
  /** Small files that are made for it. */
  readonly texts: readonly { readonly name: string; readonly text: string }[]
  readonly devices: readonly { readonly name: string; readonly source: string }[]
  /** It starts in the network namespace that it is to have, instead of making an empty one. */
  readonly hasNetwork: boolean
  /** It has ids of its own. */
  readonly mapped: boolean
}

const ROOT_BYTES = 2 * 1024 * 1024
/** The only folder that it can write to: for pipes, and for the state of a machine that is saved. */
export const PIPES = 'pipes'
const PIPES_BYTES = 20 * 1024 * 1024
const MERGED = ['lib', 'lib32', 'lib64', 'libx32', 'bin', 'sbin']
const DEVICES = ['/dev/null', '/dev/zero', '/dev/urandom']
/** What it needs to give files of a volume the owners that the machine says, and to read those that are not its own. */
const VOLUME_RIGHTS = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID'] as const

/**
 * A process of its own: the host's programs and libraries to read, its files, an empty network or the machine's, no
 * process of anybody else, no right. The machine's root is of no interest to the host's kernel: it is a file.
 */
export function confined(it: Confinement): Pick<HostProcessSpec, 'argv' | 'env' | 'mounts' | 'writes' | 'rlimits'> {
  const unmerged = new Set(it.unmerged)
  const links = MERGED.filter((name) => !unmerged.has(`/${name}`)).flatMap((name) => [
    '--symlink',
    `usr/${name}`,
    `/${name}`,
  ])
  const writable = it.volumes.some(({ readOnly }) => !readOnly)
  const argv = [
    it.bwrap,
    '--unshare-pid',
    '--unshare-ipc',
    '--unshare-uts',
    '--unshare-cgroup',
    ...(it.hasNetwork ? [] : ['--unshare-net']),
    '--as-pid-1',
    '--cap-drop',
    'ALL',
    ...(writable ? VOLUME_RIGHTS.flatMap((name) => ['--cap-add', name]) : []),
    '--dev-bind',
    ROOT,
    '/',
    ...links,
    '--proc',
    '/proc',
    '--remount-ro',
    '/',
    '--chdir',
    '/',
    '--',
    ...it.argv,
  ]
  return {
    argv,
    env: { PATH: '/usr/bin', LANG: 'C.UTF-8' },
    mounts: [
      { kind: 'bind', source: it.stage, target: STAGE, readOnly: true },
      { kind: 'tmpfs', target: ROOT, sizeBytes: ROOT_BYTES, mode: 0o755 },
      bind('/usr', 'usr', true),
      ...it.unmerged.map((path) => bind(path, path.slice(1), true)),
      { kind: 'tmpfs', target: `${ROOT}/dev`, sizeBytes: 4096, mode: 0o755 },
      ...DEVICES.map((path) => bind(path, path.slice(1), false)),
      ...it.devices.map(({ name, source }) => bind(source, name, false)),
      { kind: 'tmpfs', target: `${ROOT}/${PIPES}`, sizeBytes: PIPES_BYTES, mode: 0o700 },
      ...(it.texts.some(({ name }) => name.startsWith('etc/'))
        ? [{ kind: 'tmpfs', target: `${ROOT}/etc`, sizeBytes: 64 * 1024, mode: 0o755 } as const]
        : []),
      ...it.files.map(({ name, source, readOnly }) => bind(source, name, readOnly)),
      ...it.volumes.map(({ name, source, readOnly }): MountSpec => ({
        kind: 'bind',
        source,
        target: `${ROOT}/${name}`,
        readOnly,
        recursive: readOnly,
        mapped: it.mapped,
      })),
    ],
    writes: [
      ...(it.mapped ? [{ path: '/proc/sys/user/max_user_namespaces', text: '0' }] : []),
      ...it.texts.map(({ name, text }) => ({ path: `${ROOT}/${name}`, text })),
    ],
    // A crash must not run the host's handler for core dumps, with the machine's memory in its hands.
    rlimits: [{ name: 'core', soft: 0, hard: 0 }],
  }
}

function bind(source: string, name: string, readOnly: boolean): MountSpec {
  return { kind: 'bind', source, target: `${ROOT}/${name}`, readOnly }
}
