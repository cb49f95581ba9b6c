import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const BUSYBOX = '/bin/busybox'
const FOLDERS = ['/usr/local/lib/cove', '/usr/local/bin', '/usr/bin', '/usr/sbin']

export type Runtime = 'crun' | 'runc' | 'runsc'

/** A small root file system, and containers of it made by a runtime alone: what Cove is compared with. */
export interface RawContainers extends AsyncDisposable {
  readonly rootfs: string
  /** Milliseconds of one whole `run` of `/bin/true`. */
  once(): Promise<number>
}

export async function findRuntime(name: Runtime): Promise<string | undefined> {
  for (const folder of FOLDERS) {
    const path = join(folder, name)
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  return undefined
}

/** Root with one static program. The folder is the caller's. */
export async function smallRoot(folder: string): Promise<string> {
  const rootfs = join(folder, 'rootfs')
  for (const name of ['bin', 'proc', 'dev', 'sys', 'tmp', 'etc']) await mkdir(join(rootfs, name), { recursive: true })
  await copyFile(BUSYBOX, join(rootfs, 'bin/busybox'))
  await chmod(join(rootfs, 'bin/busybox'), 0o755)
  for (const name of ['sh', 'true', 'cat', 'sleep', 'id', 'head', 'dd'])
    await symlink('busybox', join(rootfs, 'bin', name))
  await writeFile(join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n')
  return rootfs
}

export async function rawContainers(runtime: Runtime, program: string): Promise<RawContainers> {
  const folder = await mkdtemp(join(tmpdir(), 'cove-bench-'))
  const rootfs = await smallRoot(folder)
  await run(program, ['spec'], { cwd: folder })
  const { default: spec } = (await import(join(folder, 'config.json'), { with: { type: 'json' } })) as {
    default: { process: { terminal: boolean; args: string[] } }
  }
  const plain = { ...spec, process: { ...spec.process, terminal: false, args: ['/bin/true'] } }
  await writeFile(join(folder, 'config.json'), JSON.stringify(plain))
  // Each of them stumbles over something of this host that it must not see: one over mixed cgroups, one over sysctls.
  const hide =
    runtime === 'runsc'
      ? 'mount -t tmpfs none /proc/sys/net'
      : 'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi'
  const flags = runtime === 'runsc' ? '--platform=systrap --network=none' : ''
  const script = `${hide}; exec "$0" --root "$1" ${flags} run --bundle "$2" "$3"`
  let count = 0
  return {
    rootfs,
    async once() {
      const id = `cove-bench-${process.pid}-${count++}`
      const args = ['-m', '--propagation', 'slave', 'sh', '-c', script, program, join(folder, 'state'), folder, id]
      const start = performance.now()
      await run('unshare', args)
      return performance.now() - start
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
