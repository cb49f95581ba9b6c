import { fileURLToPath } from 'node:url'
import { parseMachineId, parseSnapshotId, savesMemory } from '@cove/domain'
import { openLauncher } from '@cove/runner'
import { GUEST_PROGRAM } from './host-rig.ts'
import { createQemuDriver } from '../../src/qemu/driver.ts'
import { testGuestSystems } from './qemu-rig.ts'

// A daemon of its own, for a test to kill: it adopts a machine and saves its memory.
const [folder = '', installation = '', machine = '', snapshot = ''] = process.argv.slice(2)
const launcher = await openLauncher({ binary: GUEST_PROGRAM, stateDir: `${folder}/l`, installation, idleMs: 2_000 })
const driver = createQemuDriver({
  launcher,
  installation,
  guestProgram: GUEST_PROGRAM,
  stateDir: `${folder}/d`,
  guestSystems: testGuestSystems,
  layersProgram: fileURLToPath(new URL('../../../../build/cove-layers', import.meta.url)),
})
const id = parseMachineId(machine)
for await (const found of driver.recover()) {
  if (found.kind !== 'running' || found.machine.id !== id || !savesMemory(found.machine)) continue
  const context = { signal: AbortSignal.timeout(60_000), progress: () => undefined }
  await found.machine.snapshotMemory(parseSnapshotId(snapshot), context)
}
