import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CoveError } from '@cove/domain'
import { VolumeDisk } from './volume-disk.ts'

const run = promisify(execFile)
const problem = await VolumeDisk.sizeProblem()
if (problem !== undefined) console.log(`skipped: ${problem}`)

const BYTES = 16 * 1024 * 1024

let folder: string
let disk: VolumeDisk

const unfreeze = (): Promise<unknown> => run('/sbin/fsfreeze', ['--unfreeze', disk.data])

describe.skipIf(problem !== undefined)('a volume of a size', () => {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cove-test-volume-'))
    disk = new VolumeDisk(join(folder, 'one'))
    await disk.make(BYTES)
  })
  afterEach(async () => {
    await disk.thaw()
    await disk.remove()
    await rm(folder, { recursive: true, force: true })
  })

  test('that a killed daemon has left frozen is written to again', async () => {
    await disk.thaw()
    await disk.mount()
    await run('/sbin/fsfreeze', ['--freeze', disk.data])
    await disk.thaw()
    // Nobody has to do it any more, and nobody waits.
    await expect(unfreeze()).rejects.toThrow(/unfreeze failed/)
    await writeFile(join(disk.data, 'file'), 'content')
    await disk.thaw()
  })

  test('is not frozen any more when its copy was given up', async () => {
    await disk.mount()
    const gone = AbortSignal.abort(new CoveError('cancelled', 'the caller has gone'))
    const copying = disk.copyTo(new VolumeDisk(join(folder, 'two')), gone)
    await expect(copying).rejects.toMatchObject({ code: 'cancelled', message: 'the caller has gone' })
    await expect(unfreeze()).rejects.toThrow(/unfreeze failed/)
  })
})
