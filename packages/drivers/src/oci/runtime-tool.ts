import { findProgram, versionOf } from '../launched/find-program.ts'
import { TOOL_FD, type FoundTool, type Tool } from '../launched/tool.ts'
import { AGENT_PATH } from '../launched/stage.ts'
import { assembleSeccomp } from '../seccomp/assemble.ts'
import { ownArchitecture } from '../seccomp/own-architecture.ts'
import { bundleConfig } from './bundle.ts'
import { BUNDLE, FILTER_ANNOTATION, STATE, takesProgram, type RuntimeFlavour } from './flavours.ts'
import { seccompProfile, type SeccompProfile } from './seccomp-profile.ts'

const STATE_BYTES = 4 * 1024 * 1024

/** A runtime of the OCI specification that runs in the foreground: it watches the machine, and ends as it ends. */
export function runtimeTool(flavour: RuntimeFlavour, given?: string): Tool {
  const { name } = flavour
  return {
    name: flavour.name,
    isolation: 'container',
    recordPrefix: `${name}-`,
    share: flavour.share,
    proof: {
      // An image with nothing in it: the agent is the only program that there is.
      from: (emptyFolder) => ({ kind: 'layers', lower: [emptyFolder] }),
      argv: [AGENT_PATH, 'version'],
    },
    filtered: true,
    find: async (): Promise<FoundTool> => {
      const found = await findProgram(name, given)
      const refused = flavour.needsRoot === true && process.getuid?.() !== 0
      const program = refused ? undefined : found
      const version = program === undefined ? 'none' : await versionOf(program)
      const filter = filterFor(flavour, version)
      return {
        program,
        version,
        missing: refused
          ? NEEDS_ROOT
          : {
              reason: `${name} is not installed`,
              fix: `Install it with the system's package manager, for example \`apt-get install ${name}\`.`,
            },
        runningFix: (ids) => (ids === 'self' ? SELF_FIX : RANGE_FIX),
        command: (request) => {
          const config = bundleConfig({
            argv: request.agent,
            env: request.agentEnv,
            hostname: request.spec.hostname,
            mapped: request.mapped,
            hasNetwork: request.hasNetwork,
            ...filter,
          })
          return {
            argv: [
              request.program,
              '--root',
              STATE,
              ...flavour.globalFlags,
              'run',
              '--bundle',
              BUNDLE,
              '--preserve-fds',
              `${request.descriptors}`,
              request.id,
            ],
            env: flavour.env,
            blobs: [{ fd: TOOL_FD, data: Buffer.from(JSON.stringify(config)) }],
            // What the runtime notes down is gone with its mount namespace.
            mounts: [{ kind: 'tmpfs', target: STATE, sizeBytes: STATE_BYTES, mode: 0o700 }, ...flavour.mounts],
            stageReadOnly: true,
          }
        },
      }
    },
  }
}

const NEEDS_ROOT = {
  reason: 'runc needs more than one user id, and an ordinary user has one',
  fix: 'Run Cove as root, or use crun or bubblewrap.',
}

/** One policy in the form that the runtime takes fastest. */
function filterFor(
  flavour: RuntimeFlavour,
  version: string,
): { readonly seccomp: SeccompProfile } | { readonly annotations: Readonly<Record<string, string>> } {
  const architecture = ownArchitecture()
  if (!takesProgram(flavour, version)) return { seccomp: seccompProfile(architecture) }
  const program = Buffer.from(assembleSeccomp(architecture)).toString('base64')
  return { annotations: { [FILTER_ANNOTATION]: program } }
}

const RANGE_FIX = `Needs Linux 5.19 or later with overlayfs, user namespaces and full root.`
const SELF_FIX =
  'Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces above 0), or run Cove as root.'
