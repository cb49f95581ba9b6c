import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noSmallRoot, smallRoot } from '../../packages/drivers/test/support/small-root.ts'

/** A folder that is the root of a little image: busybox and two users. */
export class SmallImage implements AsyncDisposable {
  readonly #folder: string
  /** As a template is named. */
  readonly template: string

  private constructor(folder: string, root: string) {
    this.#folder = folder
    this.template = `directory:${root}`
  }

  static async make(): Promise<SmallImage> {
    const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
    await chmod(folder, 0o755)
    const { lower } = await smallRoot(folder)
    return new SmallImage(folder, lower[0] ?? folder)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}

const installed = (name: string): boolean =>
  ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/lib/cove'].some((folder) => existsSync(join(folder, name)))

/** Why machines of this runtime cannot be made here; undefined where they can. */
export function noRuntime(runtime: 'crun' | 'runc' | 'runsc'): string | undefined {
  if (process.getuid?.() !== 0) return `${runtime} is tried as root only`
  if (!installed(runtime)) return `${runtime} is not installed`
  return noSmallRoot
}
