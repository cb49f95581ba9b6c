import { AGENT_PATH } from '../launched/stage.ts'
import { findProgram, versionOf } from '../launched/find-program.ts'
import type { Tool } from '../launched/tool.ts'

const MiB = 1024 * 1024
/** Code that QEMU has translated, QEMU itself, and what it has in its hands of disks. */
const RESERVE = { memoryBytes: 256 * MiB, processes: 64, cpus: 0.1 } as const

const PROCESSES =
  'root inside a machine with a kernel of its own can lift a limit on processes; memory and processors bound them'

const MACHINES: Partial<Readonly<Record<NodeJS.Architecture, string>>> = { x64: 'x86_64', arm64: 'aarch64' }

export interface QemuTool extends Tool {
  /** Path of bubblewrap; known when the tool was found. */
  bwrap(): string
}

/** QEMU with a machine that has no more than it needs, in namespaces made by bubblewrap. */
export function qemuTool(given: { readonly qemu?: string; readonly bwrap?: string } = {}): QemuTool {
  const name = `qemu-system-${MACHINES[process.arch] ?? process.arch}`
  let bwrap = ''
  return {
    name: 'qemu',
    isolation: 'microvm',
    recordPrefix: 'qemu-',
    share: 4,
    disks: 'image',
    proof: {
      // An image with nothing in it: the agent is the only program that there is.
      from: (emptyFolder) => ({ kind: 'layers', lower: [emptyFolder] }),
      argv: [AGENT_PATH, 'version'],
    },
    bwrap: () => bwrap,
    find: async () => {
      const [qemu, found] = await Promise.all([findProgram(name, given.qemu), findProgram('bwrap', given.bwrap)])
      bwrap = found ?? ''
      const version = qemu === undefined ? 'none' : await versionOf(qemu)
      const missing = [...(qemu === undefined ? [name] : []), ...(found === undefined ? ['bubblewrap'] : [])]
      return {
        program: found === undefined ? undefined : qemu,
        version,
        missing: {
          reason: `${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not installed`,
          fix: "Install them with the system's package manager, for example `apt-get install qemu-system-x86 bubblewrap`.",
        },
        runningFix: () =>
          'Run `cove kernel build` for a kernel that is known to start, or `cove kernel fetch`; needs QEMU 7.2 or later and user namespaces.',
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
