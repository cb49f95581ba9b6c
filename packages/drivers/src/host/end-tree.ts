import { readFile, readdir } from 'node:fs/promises'

const SIGKILL = 'SIGKILL'
const SIGSTOP = 'SIGSTOP'
const MAX_PROCESSES = 100_000

/**
 * Ends a process and everything below it. Each is stopped before its children are looked for, so that none can get
 * a child while its list is read.
 */
export async function endTree(root: number): Promise<void> {
  const found: number[] = []
  const waiting = [root]
  for (let pid = waiting.pop(); pid !== undefined && found.length < MAX_PROCESSES; pid = waiting.pop()) {
    if (!send(pid, SIGSTOP)) continue
    found.push(pid)
    waiting.push(...(await childrenOf(pid)))
  }
  // The deepest first: whoever is still there keeps the pids of its children from being used again.
  for (const pid of found.toReversed()) send(pid, SIGKILL)
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => [])
  const lists = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')),
  )
  return lists.flatMap((list) => list.trim().split(' ').filter(Boolean).map(Number))
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
