import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import { badSpecsChapter } from './bad-specs.ts'
import { createChapter } from './create.ts'
import { destroyChapter } from './destroy.ts'
import { disksChapter } from './disks.ts'
import { endingChapter } from './ending.ts'
import { execChapter } from './exec.ts'
import { faultsChapter } from './faults.ts'
import { guestStreamChapter } from './guest-stream.ts'
import { limitsChapter } from './limits.ts'
import { memorySnapshotsChapter } from './memory-snapshots.ts'
import { networkChapter } from './network.ts'
import { pauseChapter } from './pause.ts'
import { readDiskChapter } from './read-disk.ts'
import { recoverChapter } from './recover.ts'
import { resizeChapter } from './resize.ts'
import type { RigFactory } from './rig.ts'
import { Stage } from './stage.ts'
import { volumesChapter } from './volumes.ts'

export type { DriverRig, Fault, RigFactory } from './rig.ts'
export { codeOf, collect, PLAIN, soon, Stage, type Result } from './stage.ts'

export interface ConformanceOptions {
  /** Why the driver cannot be tried here; the suite is skipped and says so. */
  readonly skip?: string | undefined
}

/** The life of a machine from create to destroy, faults included. Every driver passes the same. */
export function driverConformance(name: string, factory: RigFactory, options: ConformanceOptions = {}): void {
  const why = options.skip === undefined ? '' : ` (skipped: ${options.skip})`
  describe.skipIf(options.skip !== undefined)(`driver ${name}${why}`, () => {
    const stage = new Stage(factory)
    beforeAll(() => stage.open())
    afterAll(() => stage.close())
    afterEach(() => stage.expectCleared())
    createChapter(stage)
    guestStreamChapter(stage)
    execChapter(stage)
    limitsChapter(stage)
    networkChapter(stage)
    disksChapter(stage)
    endingChapter(stage)
    destroyChapter(stage)
    recoverChapter(stage)
    faultsChapter(stage)
    badSpecsChapter(stage)
    pauseChapter(stage)
    memorySnapshotsChapter(stage)
    volumesChapter(stage)
    readDiskChapter(stage)
    resizeChapter(stage)
  })
}
