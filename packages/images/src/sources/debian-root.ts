import { chmod, mkdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError, type ParsedSource } from '@cove/domain'
import { formatPlatform, hostPlatform } from '../registry/platform.ts'
import { readAptSources, sourceLines } from './apt-sources.ts'
import type { FetchRequest } from './fetch-image.ts'
import { findProgram } from './find-program.ts'
import { workFolder } from './work-folder.ts'
import { runTool } from './run-tool.ts'
import type { RootSource } from './take-root.ts'

type Debian = Extract<ParsedSource, { kind: 'debian' }>

const DAY_MS = 24 * 60 * 60_000
/** Nobody reads these in a sandbox; licences stay. */
const EXCLUDED = [
  '--dpkgopt=path-exclude=/usr/share/doc/*',
  '--dpkgopt=path-include=/usr/share/doc/*/copyright',
  '--dpkgopt=path-exclude=/usr/share/man/*',
  '--dpkgopt=path-exclude=/usr/share/info/*',
  '--dpkgopt=path-exclude=/usr/share/locale/*',
  '--dpkgopt=path-include=/usr/share/locale/locale.alias',
  '--dpkgopt=path-exclude=/usr/share/lintian/*',
]

/** A root of Debian packages from the mirrors that the host itself uses. Takes half a minute, and root. */
export function debianRoot({ suite, packages }: Debian, { platform }: Pick<FetchRequest, 'platform'>): RootSource {
  return {
    comment: `debian:${suite} ${packages.join(' ')}`.trim(),
    defaults: {
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
      command: ['/bin/bash'],
    },
    async fill(parts, into, { signal, progress }) {
      const [mmdebstrap, unshare] = await tools()
      if (formatPlatform(platform) !== formatPlatform(hostPlatform())) {
        throw new CoveError('unsupported', 'Debian images are built for the architecture of this host only')
      }
      await using scratch = await workFolder(parts)
      const sources = sourceLines(suite, await readAptSources())
      const args = [
        // Whatever it mounts and starts goes with it, also when it is killed.
        '--mount',
        '--propagation',
        'private',
        '--pid',
        '--fork',
        '--kill-child',
        '--mount-proc',
        mmdebstrap,
        '--variant=minbase',
        '--mode=root',
        '--format=tar',
        '--skip=output/dev',
        ...EXCLUDED,
        ...(packages.length === 0 ? [] : [`--include=${packages.join(',')}`]),
        // These are the host's; those of the sandbox are made with it.
        '--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"',
        suite,
        '-',
        ...sources,
      ]
      const day = Math.floor(parts.clock.now() / DAY_MS) * (DAY_MS / 1_000)
      let report
      await runTool({
        program: unshare,
        args,
        env: { SOURCE_DATE_EPOCH: String(day), TMPDIR: scratch.path, ...proxies() },
        cwd: scratch.path,
        signal,
        line: (text) => progress({ step: stepOf(text) }),
        stdout: async (tar) => {
          report = await parts.layers.unpackFiles({ tar, into, at: '/', signal })
        },
      })
      if (report === undefined) throw new CoveError('internal', 'mmdebstrap gave no archive')
      await makeDeviceFolder(into, day)
      return report
    },
  }
}

/** Its nodes stayed out, and it with them; whatever is mounted there needs the folder. */
async function makeDeviceFolder(root: string, seconds: number): Promise<void> {
  const folder = join(root, 'dev')
  await mkdir(folder, { recursive: true })
  await chmod(folder, 0o755)
  for (const path of [folder, root]) await utimes(path, seconds, seconds)
}

async function tools(): Promise<[string, string]> {
  const [mmdebstrap, unshare] = await Promise.all([findProgram('mmdebstrap'), findProgram('unshare')])
  if (mmdebstrap === undefined || unshare === undefined) {
    const missing = mmdebstrap === undefined ? 'mmdebstrap' : 'util-linux'
    const fix = `Install it: apt-get install ${missing}. Or take an image from a registry, such as oci:debian:bookworm.`
    throw new CoveError('unsupported', `Debian images are built by ${missing}, which is not installed`, {}, { fix })
  }
  if (process.getuid?.() !== 0) {
    throw new CoveError(
      'unsupported',
      'only root can build Debian images',
      {},
      {
        fix: 'Run Cove as root, or take an image from a registry, such as oci:debian:bookworm.',
      },
    )
  }
  return [mmdebstrap, unshare]
}

/** The tools of apt take them from the environment, and from nowhere else here. */
function proxies(): Readonly<Record<string, string>> {
  const names = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  )
}

/** `I: installing remaining packages inside the chroot...` and the like. */
function stepOf(line: string): string {
  return /^(?:I|W): (?<text>.*?)\.*$/.exec(line)?.groups?.['text'] ?? line
}
