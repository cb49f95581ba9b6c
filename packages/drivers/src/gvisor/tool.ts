import { AGENT_PATH } from '../launched/stage.ts'
import { findProgram, versionOf } from '../launched/find-program.ts'
import type { Tool } from '../launched/tool.ts'

const MiB = 1024 * 1024
/** Watcher, file server and kernel of one machine: 17 MiB before anything runs in it, and more with every process. */
const RESERVE = { memoryBytes: 40 * MiB, processes: 0, cpus: 0.2 } as const

/** Where `tooling/ci/gvisor.sh` puts the one that can do more than an old distribution's. */
export const OWN_PLACE = '/usr/local/lib/cove/runsc'

/** Of gVisor: how the kernel inside gets hold of what programs do. */
export type Platform = 'systrap' | 'ptrace'

const PROCESSES =
  'gVisor has no limit on the processes inside that root inside could not lift; memory and processors bound them'

const MISSING = {
  reason: 'runsc is not installed',
  fix: `Install gVisor's runsc of 2023 or later: the package \`runsc\` of Debian 13 or the release of gvisor.dev, as /usr/bin/runsc, /usr/local/bin/runsc or ${OWN_PLACE}.`,
}

/** gVisor: a kernel of its own in a program, between the machine and the host. */
export function runscTool(given?: string): Tool {
  return {
    name: 'gvisor',
    isolation: 'kernel',
    recordPrefix: 'gvisor-',
    share: 3,
    proof: {
      // An image with nothing in it: the agent is the only program that there is.
      from: (emptyFolder) => ({ kind: 'layers', lower: [emptyFolder] }),
      argv: [AGENT_PATH, 'version'],
    },
    find: async () => {
      const program = (await findProgram('runsc', given ?? OWN_PLACE)) ?? (await findProgram('runsc', given))
      const version = program === undefined ? 'none' : await versionOf(program)
      const old = isTooOld(version)
      return {
        program: old ? undefined : program,
        version,
        missing: old ? { ...MISSING, reason: `${version} is too old` } : MISSING,
        runningFix: (ids) => (ids === 'self' ? SELF_FIX : RANGE_FIX),
        reserve: RESERVE,
        cannot: { processes: PROCESSES },
        command: () => {
          throw new Error('the driver says itself what is started')
        },
      }
    },
  }
}

/**
 * How it catches system calls: the fast way where it knows that. `runsc version 0.0~20240729.0` or
 * `release-20240729.0`; systrap is there and sound since the middle of 2023.
 */
export function platformOf(version: string): Platform {
  const month = monthOf(version)
  return month !== undefined && month >= FIRST_WITH_SYSTRAP ? 'systrap' : 'ptrace'
}

/** It does not know what the driver asks for. */
export function isTooOld(version: string): boolean {
  const month = monthOf(version)
  return month !== undefined && month < FIRST_WITH_SYSTRAP
}

const FIRST_WITH_SYSTRAP = 202306

function monthOf(version: string): number | undefined {
  const date = /(20\d{4})\d{2}/.exec(version)
  return date === null ? undefined : Number(date[1])
}

const RANGE_FIX = 'Needs Linux 5.19 or later with overlayfs, user namespaces, full root, and runsc of 2023 or later.'
const SELF_FIX = 'gVisor needs root here: run Cove as root.'
