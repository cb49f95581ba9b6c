import { dirname, join } from 'node:path'
import { AGENT_PATH } from '../launched/stage.ts'
import { findProgram, versionOf } from '../launched/find-program.ts'
import type { Tool } from '../launched/tool.ts'

const MiB = 1024 * 1024
/** Firecracker itself is a few MiB; the rest is what it has in its hands of disks. */
const RESERVE = { memoryBytes: 64 * MiB, processes: 16, cpus: 0.1 } as const

const PROCESSES =
  'root inside a machine with a kernel of its own can lift a limit on processes; memory and processors bound them'

const INSTALL =
  'Install Firecracker and its jailer, both of one release, as /usr/local/bin/firecracker and /usr/local/bin/jailer.'

export interface FirecrackerTool extends Tool {
  /** Paths of the other programs that it takes; known when the tool was found. */
  others(): { readonly jailer: string; readonly bwrap: string }
}

export interface FirecrackerPaths {
  readonly firecracker?: string
  /** Default: beside `firecracker`, else in the system's program folders. */
  readonly jailer?: string
  readonly bwrap?: string
}

/** Firecracker in its jail, in namespaces made by bubblewrap. */
export function firecrackerTool(given: FirecrackerPaths = {}): FirecrackerTool {
  let others = { jailer: '', bwrap: '' }
  return {
    name: 'firecracker',
    isolation: 'microvm',
    recordPrefix: 'firecracker-',
    share: 5,
    disks: 'image',
    proof: {
      // An image with nothing in it: the agent is the only program that there is.
      from: (emptyFolder) => ({ kind: 'layers', lower: [emptyFolder] }),
      argv: [AGENT_PATH, 'version'],
    },
    others: () => others,
    find: async () => {
      const firecracker = await findProgram('firecracker', given.firecracker)
      const beside = firecracker === undefined ? undefined : join(dirname(firecracker), 'jailer')
      const [jailer, bwrap] = await Promise.all([
        findProgram('jailer', given.jailer ?? beside).then((found) => found ?? findProgram('jailer', given.jailer)),
        findProgram('bwrap', given.bwrap),
      ])
      others = { jailer: jailer ?? '', bwrap: bwrap ?? '' }
      const missing = [
        ...(firecracker === undefined ? ['firecracker'] : []),
        ...(jailer === undefined ? ['jailer'] : []),
        ...(bwrap === undefined ? ['bubblewrap'] : []),
      ]
      return {
        program: missing.length === 0 ? firecracker : undefined,
        version: firecracker === undefined ? 'none' : await versionOf(firecracker),
        missing: {
          reason: `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not installed`,
          fix: bwrap === undefined ? `${INSTALL} Install bubblewrap: apt-get install bubblewrap.` : INSTALL,
        },
        runningFix: () =>
          'Run `cove kernel build` for a kernel that is known to start; needs Firecracker 1.8 or later, KVM and full root.',
        reserve: RESERVE,
        cannot: { processes: PROCESSES },
        keeps: ['memoryBytes'],
        command: () => {
          throw new Error('the driver says itself what is started')
        },
      }
    },
  }
}
