import { CoveError } from '@cove/domain'
import type { RuntimeName } from './runtimes.ts'

const MAX_PACKAGES = 100
const MAX_NAME_BYTES = 256

/** Package managers take such a name for a file that lies about. */
const FILE = /\.(?:whl|zip|tgz|tar|tbz|txz|tlz|tar\.(?:gz|bz2|xz|lz|lzma)|deb|rpm|apk)$/i

const PY_NAME = String.raw`[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?`
const PY_EXTRAS = String.raw`(?: ?\[ ?${PY_NAME}(?: ?, ?${PY_NAME})* ?\])?`
const PY_BOUND = String.raw`(?:===|==|~=|!=|<=|>=|<|>) ?[A-Za-z0-9][A-Za-z0-9.*+!_-]*`
const PY_BOUNDS = String.raw`(?: ?${PY_BOUND}(?: ?, ?${PY_BOUND})*)?`
const PY_VARIABLE = String.raw`(?:python_version|python_full_version|os_name|sys_platform|platform_(?:machine|system|release|version|python_implementation)|implementation_(?:name|version)|extra)`
const PY_TEXT = String.raw`(?:"[A-Za-z0-9._+ -]*"|'[A-Za-z0-9._+ -]*')`
const PY_TEST = String.raw`${PY_VARIABLE} ?(?:===|==|~=|!=|<=|>=|<|>| in | not in ) ?${PY_TEXT}`
const PY_MARKER = String.raw`(?: ?; ?${PY_TEST}(?: (?:and|or) ${PY_TEST})*)?`

const NPM_PART = String.raw`[A-Za-z0-9][A-Za-z0-9._~-]*`
const NPM_BOUND = String.raw`(?:\^|~|>=|<=|>|<|=)?v?[0-9xX*][0-9A-Za-z.*+-]*`
const NPM_RANGE = String.raw`${NPM_BOUND}(?: (?:\|\| |- )?${NPM_BOUND})*`
const NPM_TAG = String.raw`[A-Za-z][A-Za-z0-9._-]*`

/** Like the name, with no dash at the end: that asks apt to remove, also behind a version. */
const SYSTEM_VERSION = String.raw`[A-Za-z0-9](?:[A-Za-z0-9.+:~_-]*[A-Za-z0-9.+~])?`

interface NameRule {
  readonly pattern: RegExp
  /** Completes "… is not". */
  readonly what: string
  readonly example: string
}

const RULES: Readonly<Record<RuntimeName, NameRule>> = {
  python: {
    pattern: new RegExp(`^(${PY_NAME})${PY_EXTRAS}${PY_BOUNDS}${PY_MARKER}$`),
    what: 'the name of a Python package',
    example: 'requests, requests[socks]>=2.31,<3',
  },
  node: {
    pattern: new RegExp(`^((?:@${NPM_PART}/)?${NPM_PART})(?:@(?:${NPM_RANGE}|${NPM_TAG}))?$`),
    what: 'the name of an npm package',
    example: 'lodash, @types/node@20.1.0',
  },
  shell: {
    // A dash at the end asks apt to remove.
    pattern: new RegExp(
      `^([A-Za-z0-9](?:[A-Za-z0-9+._-]*[A-Za-z0-9+])?)(?::[a-z0-9]+)?(?:(?:=|~|>=|<=|>|<)${SYSTEM_VERSION})?$`,
    ),
    what: 'the name of a package of the system',
    example: 'curl, libstdc++6, jq=1.6-2',
  },
}

/**
 * Throws `invalid-argument` with the first name that is none. Names go to the package manager as they are, as
 * arguments of their own and never through a shell; refused is what a manager would take for an option, a path, an
 * address or a file.
 */
export function checkPackages(runtime: RuntimeName, packages: readonly string[]): void {
  if (packages.length > MAX_PACKAGES) {
    throw new CoveError(
      'invalid-argument',
      `there are ${packages.length} packages; at most ${MAX_PACKAGES} are installed at once`,
      { field: 'packages', limit: MAX_PACKAGES },
      { fix: 'Install them in several calls.' },
    )
  }
  const rule = RULES[runtime]
  for (const name of packages) {
    const [, bare] = (name.length <= MAX_NAME_BYTES && rule.pattern.exec(name)) || []
    // Without extras, version and marker too: pip looks for the file of that name.
    if (bare === undefined || FILE.test(bare) || FILE.test(name)) throw refused(name, rule)
  }
}

function refused(name: string, { what, example }: NameRule): CoveError {
  const shown = name.length > 80 ? `${name.slice(0, 80)}…` : name
  return new CoveError(
    'invalid-argument',
    `${JSON.stringify(shown)} is not ${what}`,
    { field: 'packages', package: shown },
    {
      fix: `Give names as the package manager writes them, each by itself, such as ${example}. Options, paths and addresses are not taken.`,
    },
  )
}
