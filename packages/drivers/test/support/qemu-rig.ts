import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openGuestSystems, type GuestSystems } from '@cove/guest-system'
import { createQemuDriver, type QemuOptions } from '../../src/qemu/driver.ts'
import { GUEST_PROGRAM, hasInternet, isRoot, openHostRig, type HostRig } from './host-rig.ts'
import { noSmallRoot, smallRoot } from './small-root.ts'

const vmProgram = (name: string): string => fileURLToPath(new URL(`../../../../build/${name}`, import.meta.url))
const QEMU = ['/usr/bin/qemu-system-x86_64', '/usr/local/bin/qemu-system-x86_64'].find((path) => existsSync(path))
const TOOLS = ['/usr/bin/bwrap', '/usr/bin/mkfs.erofs', '/usr/sbin/mkfs.ext4']

/** Where Cove itself would have its kernels, or another folder. */
const KERNELS = process.env['COVE_TEST_KERNELS'] ?? join(homedir(), '.cache/cove/kernels')

export const testGuestSystems: GuestSystems = openGuestSystems({
  folder: KERNELS,
  bootProgram: vmProgram('cove-boot'),
  guestProgram: GUEST_PROGRAM,
  layersProgram: vmProgram('cove-layers'),
})

/** Why virtual machines cannot be tried here; undefined where they can. */
export const noQemu =
  QEMU === undefined || TOOLS.some((path) => !existsSync(path))
    ? 'qemu-system-x86, bubblewrap, erofs-utils or e2fsprogs is not installed (tooling/ci/test-tools.sh)'
    : (await testGuestSystems.current(AbortSignal.timeout(60_000))) === undefined
      ? 'there is no kernel (cove kernel build, cove kernel fetch)'
      : isRoot
        ? noSmallRoot
        : 'only root has ids for machines here'

/** QEMU over a small root of its own. */
export async function openQemuRig(options: Partial<QemuOptions> = {}): Promise<HostRig> {
  const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
  const system = await testGuestSystems.current(AbortSignal.timeout(60_000))
  let native = false
  const rig = await openHostRig({
    prefix: 'qemu-',
    agent: 'child',
    open: (parts) =>
      createQemuDriver({
        ...parts,
        guestSystems: testGuestSystems,
        layersProgram: vmProgram('cove-layers'),
        ...options,
      }),
    traits: {
      users: ['root', 'user'],
      enforces: ['memoryBytes', 'cpus', 'diskBytes'],
      ownFiles: true,
      pausable: true,
      internet: hasInternet,
      savesMemory: true,
      readsDisk: true,
      volumes: system?.has.ninep === true,
      resizable: 'cpus',
      ownKernel: true,
      get native() {
        return native
      },
    },
  })
  const fingerprint = await rig.driver.fingerprint(AbortSignal.timeout(60_000))
  native = fingerprint.proven && fingerprint.native
  return {
    ...rig,
    from: await smallRoot(folder),
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}
