import { CoveError } from '@cove/domain'
import { hasNoNetwork } from './offline.ts'
import type { InstallPlan, Site } from './installer.ts'

/**
 * Makes the prefix, and brings it into view of the code that runs, and of whatever else lies in the home as long as
 * nothing else is called `node_modules` there. Prints the program that installs, if there is one.
 */
const PREPARE = `
cd "$1" || exit
(
  PATH=$PATH:/usr/bin:/bin
  mkdir -p run node/node_modules || exit
  [ -L run/node_modules ] || ln -s ../node/node_modules run/node_modules
  home=\${1%/*}
  [ "$home" != "$HOME" ] || [ -e "$home/node_modules" ] || [ -L "$home/node_modules" ] ||
    ln -s "\${1##*/}/node/node_modules" "$home/node_modules"
  [ -e node/package.json ] || echo '{"private":true}' >node/package.json
) || exit
[ -z "$2" ] || PATH="\${2%/*}:$PATH"
command -v npm || echo`

/** Packages go into a prefix, where later runs of node find them by \`require\` and by \`import\`. */
export async function planNode(site: Site, packages: readonly string[]): Promise<InstallPlan> {
  const { ground, lease, interpreter } = site
  const { stdout: npm } = await site.script(PREPARE, [ground.folder, interpreter ?? ''])
  if (npm === '') {
    const { id } = lease.sandbox.spec
    throw new CoveError(
      'unsupported',
      `sandbox ${id} has no npm, so it cannot install packages of node`,
      { sandbox: id, runtime: 'node' },
      { fix: 'Use a template that has npm; on the `host` template install npm on the host.' },
    )
  }
  const prefix = `${ground.folder}/node`
  return {
    argv: [npm, 'install', '--prefix', prefix, '--no-audit', '--no-fund', '--no-update-notifier', '--', ...packages],
    cwd: prefix,
    env: hasNoNetwork(lease.sandbox) ? { NPM_CONFIG_FETCH_RETRIES: '0' } : {},
  }
}
