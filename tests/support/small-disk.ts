import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A file system of a size of its own that goes when it is disposed. Needs root. */
export class SmallDisk implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'cove-test-'))

  constructor(bytes: number) {
    execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=1777`, 'tmpfs', this.folder])
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder)
    return bavail * bsize
  }

  [Symbol.dispose](): void {
    execFileSync('/bin/umount', [this.folder])
    rmdirSync(this.folder)
  }
}
