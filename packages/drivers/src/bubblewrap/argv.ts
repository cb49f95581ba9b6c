/**
 * What root inside a machine may do there. Everything else of root's power is gone from the start; the agent drops
 * the same from the bounding set, which bwrap leaves full.
 */
export const CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETFCAP',
  'CAP_SETGID',
  // The agent needs it to empty the bounding set.
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
] as const

/**
 * Where the launcher puts the machine's parts together, inside the private mount namespace that bwrap starts in.
 * `/sys` is on every host, can be entered by everybody, and nothing in there is needed any more.
 */
export const STAGE = '/sys'
/** The guest program inside. */
export const AGENT_PATH = '/run/.cove-agent'

export interface BwrapOptions {
  readonly bwrap: string
  /**
   * `range`: bwrap is root of a namespace with many ids that the launcher made. `self`: there is one id, and bwrap
   * makes a namespace in which that is the user.
   */
  readonly ids: 'range' | { readonly self: number }
  readonly hostname: string
  /** It starts in the network namespace that the machine is to have, instead of making an empty one. */
  readonly hasNetwork: boolean
  readonly seccompFd: number
  /** Arguments of the guest program. */
  readonly agent: readonly string[]
}

/** The command line of bwrap. The order matters: bwrap carries it out from left to right. */
export function bwrapArgv(options: BwrapOptions): readonly string[] {
  const { ids } = options
  const words: string[] = [options.bwrap]
  const add = (...more: readonly string[]) => words.push(...more)
  add('--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup')
  if (!options.hasNetwork) add('--unshare-net')
  if (ids !== 'range') add('--unshare-user', '--uid', `${ids.self}`, '--gid', `${ids.self}`, '--disable-userns')
  add('--hostname', options.hostname, '--as-pid-1', '--cap-drop', 'ALL')
  if (ids === 'range') for (const name of CAPABILITIES) add('--cap-add', name)
  // Everything is mounted below the stage already: for each bind of its own bwrap reads the whole mount table.
  add('--bind', `${STAGE}/root`, '/', '--dev-bind', `${STAGE}/dev`, '/dev')
  // Root inside owns the sysctls of its namespaces; nothing inside has reason to change them.
  add('--proc', '/proc', '--ro-bind', '/proc/sys', '/proc/sys')
  add('--seccomp', `${options.seccompFd}`, '--chdir', '/', '--', AGENT_PATH, ...options.agent)
  return words
}
