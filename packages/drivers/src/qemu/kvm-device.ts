import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, chmod, lstat, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram } from '../launched/find-program.ts'

const DEVICE = '/dev/kvm'
const NUMBER = ['10', '232'] as const
const OTHERS_READ_WRITE = 0o006

/**
 * Path of a device for KVM that a machine's process may open; undefined where this process may not. Most hosts give it
 * to a group that no machine's user is in: root makes another node in `folder`, which only root can enter, and only
 * machines are shown.
 */
export async function kvmDevice(folder: string): Promise<string | undefined> {
  const usable = await access(DEVICE, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  )
  if (!usable) return undefined
  if (process.getuid?.() !== 0 || ((await stat(DEVICE)).mode & OTHERS_READ_WRITE) === OTHERS_READ_WRITE) return DEVICE
  const node = join(folder, 'kvm')
  if ((await lstat(node).catch(() => undefined)) === undefined) {
    const mknod = await findProgram('mknod', undefined)
    if (mknod === undefined) return undefined
    await promisify(execFile)(mknod, [node, 'c', ...NUMBER], { env: {} })
    await chmod(node, 0o666)
  }
  return node
}
