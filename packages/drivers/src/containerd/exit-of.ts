import type { Exit } from '@cove/domain'
import type { CgroupFiles } from '../cgroups/plan.ts'
import { agentOomKills } from '../host/cgroup-readings.ts'
import type { TaskStatus } from './task-exits.ts'

const SIGKILL = 9

/** The agent itself never ends with a code above 128, so such a code is a signal. */
export async function exitOf(status: TaskStatus, files: CgroupFiles): Promise<Exit> {
  if (status === undefined) return { kind: 'lost' }
  if (status <= 128) return { kind: 'exited', code: status }
  const signal = status - 128
  if (signal === SIGKILL && (await agentOomKills(files)) > 0) return { kind: 'out-of-memory' }
  return { kind: 'signaled', signal }
}
