import { join } from 'node:path'
import type { Driver, ImageId, ImageStore, Log, Random } from '@cove/domain'
import {
  createBubblewrapDriver,
  createContainerdDriver,
  createDockerDriver,
  createFirecrackerDriver,
  createGvisorDriver,
  createNativeDriver,
  createOciDriver,
  createQemuDriver,
} from '@cove/drivers'
import { openGuestSystems } from '@cove/guest-system'
import type { Launcher } from '@cove/runner'
import type { Environment, Settings } from '../config/settings.ts'
import { bootProgramBeside } from '../setup/boot-program.ts'
import { layersProgramBeside } from '../setup/layers-program.ts'

export interface DriverPlace {
  readonly launcher: Launcher
  readonly guestProgram: string
  readonly installation: string
  /** For what drivers keep; each has a folder of its own there. */
  readonly stateDir: string
  /** For sockets, in memory. */
  readonly runtimeDir: string
  readonly images: ImageStore
  readonly random: Random
  readonly log: Log
  /** Where `DOCKER_HOST` and the like are looked for. */
  readonly env: Environment
}

/**
 * The drivers that this installation offers. Among equally strong ones those come first that need no other daemon.
 */
export function makeDrivers(settings: DriverSettings, place: DriverPlace): readonly Driver[] {
  const { launcher, guestProgram, installation, stateDir, runtimeDir, images, random, log } = place
  const { uidBase } = settings
  const common = { guestProgram, installation, random, log: log.child({ room: 'drivers' }) }
  const launched = (name: string, short: string) => ({
    ...common,
    launcher,
    uidBase,
    stateDir: join(stateDir, name),
    // A socket's path has little room.
    runtimeDir: join(runtimeDir, short),
  })
  const layersProgram = layersProgramBeside(guestProgram)
  const bootProgram = bootProgramBeside(guestProgram)
  const guestSystems = openGuestSystems({ folder: settings.kernelDir, bootProgram, guestProgram, layersProgram })
  const imageFile = (image: ImageId, signal: AbortSignal) => images.file(image, 'erofs', signal)
  const makers: Readonly<Record<string, () => Driver>> = {
    firecracker: () =>
      createFirecrackerDriver({ ...launched('firecracker', 'f'), guestSystems, imageFile, layersProgram }),
    qemu: () =>
      createQemuDriver({
        ...launched('qemu', 'q'),
        guestSystems,
        layersProgram,
        imageFile,
      }),
    gvisor: () => createGvisorDriver({ ...launched('gvisor', 'g'), layersProgram }),
    crun: () => createOciDriver({ ...launched('crun', 'c'), runtime: 'crun' }),
    runc: () => createOciDriver({ ...launched('runc', 'r'), runtime: 'runc' }),
    containerd: () =>
      createContainerdDriver({
        ...common,
        launcher,
        images,
        address: settings.containerdAddress,
        stateDir: join(stateDir, 'containerd'),
        runtimeDir: join(runtimeDir, 'd'),
      }),
    docker: () =>
      createDockerDriver({ ...common, launcher, images, stateDir: join(stateDir, 'docker'), env: place.env }),
    bubblewrap: () => createBubblewrapDriver(launched('bubblewrap', 'b')),
  }
  const wanted = settings.drivers
  const drivers = Object.entries(makers).flatMap(([name, make]) =>
    wanted.length === 0 || wanted.includes(name) ? [make()] : [],
  )
  if (settings.allowNative) {
    drivers.push(
      createNativeDriver({ launcher, guestProgram, installation, random, stateDir: join(stateDir, 'native') }),
    )
  }
  return drivers
}

export type DriverSettings = Pick<Settings, 'uidBase' | 'drivers' | 'allowNative' | 'containerdAddress' | 'kernelDir'>
