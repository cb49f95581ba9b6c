import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openGuestSystems, type GuestSystems } from '../../src/index.ts'
import { FakeDistribution } from './fake-distribution.ts'

/** A folder for kernels, a distribution that has some, and the programs that a VM starts with. */
export class House implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'cove-test-'))
  readonly folder = join(this.root, 'a/place/for/kernels')
  readonly distribution = new FakeDistribution(join(this.root, 'distribution'))
  readonly programs = {
    bootProgram: join(this.root, 'cove-boot'),
    guestProgram: join(this.root, 'cove-guest'),
    layersProgram: join(this.root, 'cove-layers'),
  }

  constructor() {
    for (const path of Object.values(this.programs)) writeFileSync(path, `the program ${path}`)
  }

  open(programFolders: readonly string[] = this.distribution.programFolders): GuestSystems {
    const installed = { boot: join(this.root, 'boot'), modules: join(this.root, 'modules') }
    return openGuestSystems({ folder: this.folder, machine: 'x86_64', ...this.programs, programFolders, installed })
  }

  /** What is there besides kernels and what they boot with. */
  leftovers(): string[] {
    const inside = (name: string) =>
      readdirSync(join(this.folder, name)).filter((found) => !/^[0-9a-f]{64}$/.test(found))
    return ['work', 'kernels', 'boot'].flatMap((name) => (readdirSync(this.folder).includes(name) ? inside(name) : []))
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true })
  }
}
