import { CoveError, type Sandbox } from '@cove/domain'
import { HOST_TEMPLATE } from '../../options.ts'
import type { InstallPlan, Site } from './installer.ts'

/** Prints the managers that have something to manage here. */
const PREPARE = `
[ "$(id -u)" = 0 ] || { echo not-root; exit 0; }
if [ -d /lib/apk/db ] && command -v apk >/dev/null; then echo apk
elif [ -e /var/lib/dpkg/status ] && command -v apt-get >/dev/null; then echo apt
elif command -v dnf >/dev/null; then echo dnf
elif command -v yum >/dev/null; then echo yum
elif command -v zypper >/dev/null; then echo zypper
fi`

const APT = 'apt-get update && exec apt-get install --yes -- "$@"'

const COMMANDS: ReadonlyMap<string, readonly string[]> = new Map([
  ['apk', ['apk', 'add', '--no-cache', '--']],
  ['apt', ['/bin/sh', '-c', APT, 'apt-get']],
  ['dnf', ['dnf', 'install', '--assumeyes', '--']],
  ['yum', ['yum', 'install', '--assumeyes', '--']],
  ['zypper', ['zypper', '--non-interactive', 'install', '--']],
])

/** Packages of the image, with the image's own manager, as the sandbox's root. */
export async function planShell(site: Site, packages: readonly string[]): Promise<InstallPlan> {
  const { sandbox } = site.lease
  if (sandbox.spec.template === HOST_TEMPLATE.name) {
    throw refusal(sandbox, "the `host` template shows the host's own programs, and has none to add to")
  }
  const manager = await askRoot(site)
  const command = COMMANDS.get(manager)
  if (command !== undefined) {
    return { argv: [...command, ...packages], cwd: '/', user: 'root', env: { DEBIAN_FRONTEND: 'noninteractive' } }
  }
  const why = manager === 'not-root' ? 'its only user is not root' : 'it has no package manager that Cove knows'
  throw refusal(sandbox, why)
}

async function askRoot(site: Site): Promise<string> {
  try {
    return (await site.script(PREPARE, [], 'root')).stdout
  } catch (error) {
    if (CoveError.from(error).code === 'user-not-found') throw refusal(site.lease.sandbox, 'it has no user root', error)
    throw error
  }
}

function refusal(sandbox: Sandbox, why: string, cause?: unknown): CoveError {
  const { id } = sandbox.spec
  return new CoveError(
    'unsupported',
    `sandbox ${id} cannot install packages of the system: ${why}`,
    { sandbox: id, runtime: 'shell' },
    { cause, fix: 'Use a template that has the programs, or install packages for python or node.' },
  )
}
