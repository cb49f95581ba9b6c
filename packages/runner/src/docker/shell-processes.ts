import { CoveError } from '@cove/domain'
import type { DockerEngine } from '@cove/docker-engine'
import type { ContainerProcesses, MarkedProcess } from './container-processes.ts'
import { MARK_VARIABLE } from './exec-mark.ts'

/** Of the answer of one look; a container has at most a few thousand processes. */
const ANSWER_BYTES = 4 * 1024 * 1024

/**
 * Uses only what every shell has built in. For each process: pid, session, mark and short name, with a tab between. A
 * shell reads `environ` without the NULs between its parts, which is why a mark says itself where it ends.
 */
const LIST = `
for d in /proc/[0-9]*; do
  { read -r s <"$d/stat"; } 2>/dev/null || continue
  n=\${s#*\\(}
  n=\${n%)*}
  set -- \${s##*) }
  case $1 in Z|X|x) continue;; esac
  session=$4
  m=
  while IFS= read -r l || [ -n "$l" ]; do
    case $l in *${MARK_VARIABLE}=*) m=\${l#*${MARK_VARIABLE}=}; m="\${m%%;*};"; break;; esac
  done 2>/dev/null <"$d/environ"
  printf '%s\\t%s\\t%s\\t%s\\n' "\${d#/proc/}" "$session" "$m" "$n"
done 2>/dev/null`

/** The processes of a container anywhere, by a shell inside it: its own tools are not needed. */
export class ShellProcesses implements ContainerProcesses {
  readonly #engine: DockerEngine
  readonly #container: string

  constructor(engine: DockerEngine, container: string) {
    this.#engine = engine
    this.#container = container
  }

  async list(): Promise<readonly MarkedProcess[]> {
    const text = await this.#run(LIST)
    return text.split('\n').flatMap((line) => {
      const [pid = '', session = '', mark = '', name = ''] = line.split('\t')
      return pid === '' ? [] : [{ pid: Number(pid), session: Number(session), mark, names: [name] }]
    })
  }

  async signal(pids: readonly number[], signal: 'TERM' | 'KILL'): Promise<void> {
    if (pids.length > 0) await this.#run(`for p in ${pids.join(' ')}; do kill -${signal} $p 2>/dev/null; done; :`)
  }

  async #run(script: string): Promise<string> {
    const spec = { argv: ['sh', '-c', script], user: '0' }
    const exec = await this.#engine.createExec(this.#container, spec)
    using attached = await this.#engine.startExec(exec, spec)
    let text = ''
    for await (const { stream, data } of attached.output) {
      if (stream === 'stdout') text += data.toString('latin1')
      if (text.length > ANSWER_BYTES) throw new CoveError('limit-reached', 'the container has too many processes')
    }
    const { exitCode } = await this.#engine.inspectExec(exec)
    if (exitCode === 0) return text
    throw new CoveError(
      'unsupported',
      `the container has no shell, and its engine is not on this machine or not open to this user: ${text.trim().slice(0, 200)}`,
      {},
      { fix: 'Use an image with `sh`, or run as root on the machine of the engine.' },
    )
  }
}
