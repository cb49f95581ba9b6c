import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { access, chmod, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoveError } from '@cove/domain'

const REINSTALL = 'Install the package again, for example with `npm install cove-sandboxes`.'

/**
 * Path of the guest program that a released package brings for this machine, those for layers and for the
 * start of VMs beside it, after their checksums were compared with the package's list. `folder` is the package's `guest`; `machine` is named as Node
 * does, `linux-x64`.
 */
export async function prebuiltGuest(folder: string, machine: string): Promise<string> {
  const guest = await prebuilt(folder, machine, 'cove-guest')
  await prebuilt(folder, machine, 'cove-layers')
  await prebuilt(folder, machine, 'cove-boot')
  return guest
}

async function prebuilt(folder: string, machine: string, file: string): Promise<string> {
  const name = `${machine}/${file}`
  const program = join(folder, name)
  const wanted = checksums(await read(join(folder, 'SHA256SUMS'))).get(name)
  if (wanted === undefined) {
    throw new CoveError(
      'unsupported',
      `this package has no ${file} for ${machine}: sandboxes run on Linux, x64 or arm64`,
      {},
      { fix: 'Run `cove up` on such a machine, and talk to it from here with --url or COVE_URL.' },
    )
  }
  const found = createHash('sha256')
    .update(await read(program))
    .digest('hex')
  if (found !== wanted) {
    throw new CoveError('io-error', `${program} is damaged: its SHA-256 is ${found}`, {}, { fix: REINSTALL })
  }
  await makeExecutable(program)
  return program
}

/** Lines as `sha256sum` writes them. */
function checksums(list: Buffer): ReadonlyMap<string, string> {
  const lines = list.toString('utf8').matchAll(/^([0-9a-f]{64}) [ *](\S+)$/gm)
  return new Map([...lines].map(([, sum = '', name = '']) => [name, sum]))
}

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CoveError('io-error', `the package is incomplete: ${reason}`, {}, { fix: REINSTALL, cause })
  }
}

/** Some tools unpack without the mode. */
async function makeExecutable(program: string): Promise<void> {
  try {
    await access(program, constants.X_OK)
  } catch {
    try {
      await chmod(program, 0o755)
    } catch (cause) {
      const fix = `Run as its owner: chmod 755 ${program}`
      throw new CoveError('io-error', `${program} is not executable`, {}, { fix, cause })
    }
  }
}
