import { USER_ID } from '../host-template/skeleton.ts'
import { findProgram, versionOf } from '../launched/find-program.ts'
import { TOOL_FD, type Tool } from '../launched/tool.ts'
import { assembleSeccomp } from '../seccomp/assemble.ts'
import { ownArchitecture } from '../seccomp/own-architecture.ts'
import { bwrapArgv } from './argv.ts'

const MISSING = {
  reason: 'bubblewrap is not installed',
  fix: "Install it with the system's package manager, for example `apt-get install bubblewrap`.",
}

/** bwrap: namespaces and a filter, nothing else. */
export function bubblewrapTool(given?: string): Tool {
  return {
    name: 'bubblewrap',
    isolation: 'namespace',
    recordPrefix: 'bwrap-',
    share: 0,
    filtered: true,
    find: async () => {
      const program = await findProgram('bwrap', given)
      const seccomp = assembleSeccomp(ownArchitecture())
      return {
        program,
        version: program === undefined ? 'none' : await versionOf(program),
        missing: MISSING,
        runningFix: (ids) => (ids === 'self' ? SELF_FIX : RANGE_FIX),
        command: (request) => ({
          argv: bwrapArgv({
            bwrap: request.program,
            ids: request.mapped ? 'range' : { self: USER_ID },
            hostname: request.spec.hostname,
            hasNetwork: request.hasNetwork,
            seccompFd: TOOL_FD,
            agent: request.agent,
          }),
          blobs: [{ fd: TOOL_FD, data: seccomp }],
        }),
      }
    },
  }
}

const RANGE_FIX =
  'Needs Linux 5.19 or later with overlayfs, user namespaces and full root; `bwrap --unshare-all --ro-bind / / true` says what the kernel refuses.'
const SELF_FIX =
  'Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces above 0), or run Cove as root.'
