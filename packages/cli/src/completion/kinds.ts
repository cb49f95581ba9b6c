import type { Option } from 'commander'

/** What a word stands for, where its definition has no fixed choices. */
export type Kind =
  | 'sandbox'
  | 'process'
  /** A supervised process of `cove proc`. */
  | 'proc'
  | 'port'
  | 'key'
  | 'context'
  | 'project'
  | 'template'
  | 'snapshot'
  | 'volume'
  | 'pool'
  | 'image'
  /** A kernel of this machine's VMs. */
  | 'kernel'
  | 'driver'
  | 'signal'
  | 'program'
  /** `<sandbox>:<path>`, or a file here. */
  | 'place'
  | 'file'

/** The names of arguments say what they are: in the help, and here. */
const ARGUMENTS: Readonly<Record<string, Kind>> = {
  sandbox: 'sandbox',
  sandboxes: 'sandbox',
  process: 'process',
  processes: 'process',
  proc: 'proc',
  procs: 'proc',
  port: 'port',
  ports: 'port',
  keys: 'key',
  context: 'context',
  contexts: 'context',
  project: 'project',
  projects: 'project',
  program: 'program',
  source: 'place',
  target: 'place',
  place: 'place',
  file: 'file',
  directory: 'file',
  template: 'template',
  templates: 'template',
  snapshot: 'snapshot',
  snapshots: 'snapshot',
  volume: 'volume',
  volumes: 'volume',
  images: 'image',
  kernels: 'kernel',
  pool: 'pool',
  pools: 'pool',
}

const OPTIONS: Readonly<Record<string, Kind>> = {
  '--context': 'context',
  '--project': 'project',
  '--in-project': 'project',
  '--template': 'template',
  '--snapshot': 'snapshot',
  '--from': 'volume',
  '--driver': 'driver',
  '--signal': 'signal',
  '--key': 'key',
}

export function kindOfArgument(name: string): Kind | undefined {
  return ARGUMENTS[name]
}

export function kindOfOption(option: Option): Kind | undefined {
  const known = OPTIONS[option.long ?? '']
  if (known !== undefined) return known
  return /<file>|<directory>/.test(option.flags) || option.long === '--log-file' || option.long === '--data-dir'
    ? 'file'
    : undefined
}
