import { CAPABILITIES } from '../launched/capabilities.ts'
import { ROOT } from '../launched/stage.ts'

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
  /** Command line of the agent. */
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
  // Everything is mounted below the stage already, with devices only where they belong: for each bind of its own
  // bwrap reads the whole mount table.
  add('--dev-bind', ROOT, '/')
  // Root inside owns the sysctls of its namespaces; nothing inside has reason to change them.
  add('--proc', '/proc', '--ro-bind', '/proc/sys', '/proc/sys')
  add('--seccomp', `${options.seccompFd}`, '--chdir', '/', '--', ...options.agent)
  return words
}
