import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TemplateRoot } from '@cove/domain'

const BUSYBOX = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path))

/** Why there is no small root here; undefined where there is one. */
export const noSmallRoot = BUSYBOX === undefined ? 'busybox is not installed' : undefined

/** An image's root with busybox and two users: as little as a shell needs, without `/tmp`, `/run`, `/proc` and `/dev`. */
export async function smallRoot(folder: string): Promise<TemplateRoot & { kind: 'layers' }> {
  if (BUSYBOX === undefined) throw new Error('busybox is not installed')
  const root = join(folder, 'image')
  for (const name of ['bin', 'etc', 'root', 'home/user', 'var/tmp']) {
    await mkdir(join(root, name), { recursive: true, mode: 0o755 })
  }
  await cp(BUSYBOX, join(root, 'bin/busybox'))
  const { stdout } = await promisify(execFile)(BUSYBOX, ['--list'])
  for (const name of stdout.trim().split('\n')) {
    if (name !== 'busybox') await symlink('busybox', join(root, 'bin', name))
  }
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n')
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nuser:x:1000:\n')
  await promisify(execFile)(BUSYBOX, ['chown', '1000:1000', join(root, 'home/user')]).catch(() => undefined)
  for (const name of ['', 'home/user', 'var/tmp']) await chmod(join(root, name), name === 'var/tmp' ? 0o1777 : 0o755)
  return { kind: 'layers', lower: [root] }
}
