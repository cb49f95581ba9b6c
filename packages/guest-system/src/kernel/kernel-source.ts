import { access, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'
import type { Apt } from '../distribution/apt.ts'

/** The line of kernels that is built; what its configuration names is known of it. */
const NAME = 'linux-source-6.1'
const INSTALLED = `/usr/src/${NAME}.tar.xz`

export interface KernelSource {
  /** With its version, such as `linux-source-6.1 6.1.192-2`. */
  readonly name: string
  /** Path of the archive; it is fetched into the folder unless it is installed. */
  readonly archive: (scratch: string) => Promise<string>
}

/** The distribution's source: what is installed, else its package. `unsupported` where neither is there. */
export async function findSource(apt: Apt | undefined, signal: AbortSignal): Promise<KernelSource> {
  const installed = (await isThere(INSTALLED)) ? await apt?.installed(NAME, signal) : undefined
  if (installed !== undefined) return { name: `${NAME} ${installed}`, archive: async () => INSTALLED }
  const found = await apt?.find(NAME, signal)
  if (apt === undefined || found === undefined) {
    throw new CoveError(
      'unsupported',
      `the distribution's source package ${NAME} is not there`,
      { package: NAME },
      {
        fix:
          apt === undefined
            ? 'Build on Debian 12, or take a kernel that is there with `cove kernel fetch`.'
            : 'Fetch the lists with `apt-get update` (as root) and call again, or use `cove kernel fetch`.',
      },
    )
  }
  return {
    name: `${NAME} ${found.version}`,
    archive: async (scratch) => {
      const folder = join(await apt.unpack(NAME, join(scratch, 'package'), signal), 'usr/src')
      const archive = (await readdir(folder).catch(() => [])).find(
        (name) => name.startsWith(NAME) && /\.tar\.\w+$/.test(name),
      )
      if (archive === undefined) throw new CoveError('kernel-invalid', `the package ${NAME} has no source in it`)
      return join(folder, archive)
    },
  }
}

const isThere = async (path: string): Promise<boolean> =>
  await access(path).then(
    () => true,
    () => false,
  )
