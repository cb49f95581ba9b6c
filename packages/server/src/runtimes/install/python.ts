import { CoveError } from '@cove/domain'
import { hasNoNetwork } from './offline.ts'
import type { InstallPlan, Site } from './installer.ts'

/**
 * Makes the virtual environment unless it is there: with what the template has in view, and what the environment has
 * in view from which it is made. The last line says how packages get into it, or what is missing. No file of the
 * caller's own is imported in place of one of Python's.
 */
const PREPARE = `
venv=$1/python
python=$2
cd "$1" || exit
if ! { [ -e "$venv/.complete" ] && [ -x "$venv/bin/python" ]; }; then
  rm -rf "$venv"
  [ -n "$python" ] || python=$(command -v python3 || command -v python) || { echo no-python; exit 0; }
  command -v "$python" >/dev/null || { echo no-python; exit 0; }
  "$python" -m venv --system-site-packages --without-pip "$venv" 1>&2 ||
    "$python" -m virtualenv --system-site-packages --no-pip "$venv" 1>&2 ||
    { echo no-venv; exit 0; }
  "$python" -c 'import sys, site
if sys.prefix != sys.base_prefix: print("\\n".join(site.getsitepackages()))' |
    "$venv/bin/python" -c 'import os, sys, site
seen = sys.stdin.read()
if seen: open(os.path.join(site.getsitepackages()[0], "template.pth"), "w").write(seen)'
  : >"$venv/.complete"
fi
if "$venv/bin/python" -c 'import sys, importlib.util as u; sys.exit(u.find_spec("pip") is None)'; then echo pip
elif "$venv/bin/python" -m ensurepip 1>&2; then echo pip
elif pip=$(command -v pip3 || command -v pip) && "$pip" --python "$venv/bin/python" --version 1>&2; then echo "other $pip"
else echo no-pip
fi`

const REASONS: ReadonlyMap<string, readonly [string, string]> = new Map([
  ['no-python', ['has no Python', 'Use a sandbox whose template has Python 3.']],
  [
    'no-venv',
    [
      'has a Python that cannot make virtual environments',
      'Use a template whose Python has the module `venv`; on the `host` template install python3-venv on the host.',
    ],
  ],
  ['no-pip', ['has no pip', 'Use a template that has pip; on the `host` template install python3-pip on the host.']],
])

/** Packages go into a virtual environment, which later runs of Python use. */
export async function planPython(site: Site, packages: readonly string[]): Promise<InstallPlan> {
  const { ground, lease, interpreter } = site
  const { stdout: outcome, complaint } = await site.script(PREPARE, [ground.folder, interpreter ?? ''])
  const reason = REASONS.get(outcome)
  if (reason !== undefined) {
    const { id } = lease.sandbox.spec
    throw new CoveError(
      'unsupported',
      `sandbox ${id} ${reason[0]}, so it cannot install packages of Python${complaint === '' ? '' : `: ${complaint}`}`,
      { sandbox: id, runtime: 'python' },
      { fix: reason[1] },
    )
  }
  const python = `${ground.folder}/python/bin/python`
  const pip = outcome.startsWith('other ') ? [outcome.slice(6), '--python', python] : [python, '-m', 'pip']
  return {
    argv: [...pip, 'install', '--no-input', '--disable-pip-version-check', '--progress-bar=off', '--', ...packages],
    cwd: ground.folder,
    // A setting for one's own home would refuse the environment.
    env: { PIP_USER: '0', ...(hasNoNetwork(lease.sandbox) ? { PIP_RETRIES: '1' } : {}) },
  }
}
