/** A process in a container that carries a mark of ours, or shares the session of one that does. */
export interface MarkedProcess {
  /** Of whoever reads: the host's, or the container's. Only for `signal` of the same reader. */
  readonly pid: number
  /** Value of the mark's variable; empty for one that has dropped it and is known by its session. */
  readonly mark: string
  readonly session: number
  /** By what it may be called: its file, what it was started as, the script that it runs. */
  readonly names: readonly string[]
}

/** What runs in one container. */
export interface ContainerProcesses {
  list(): Promise<readonly MarkedProcess[]>
  /** Those that are gone are no error. */
  signal(pids: readonly number[], signal: 'TERM' | 'KILL'): Promise<void>
}

/** All that belongs to one process of ours: who carries its mark, and who is in the session of one that does. */
export function belongingTo(processes: readonly MarkedProcess[], mark: string, leader?: number): MarkedProcess[] {
  const sessions = new Set(processes.filter((one) => one.mark === mark).map(({ session }) => session))
  if (leader !== undefined) sessions.add(leader)
  return processes.filter((one) => one.mark === mark || (one.mark === '' && sessions.has(one.session)))
}
