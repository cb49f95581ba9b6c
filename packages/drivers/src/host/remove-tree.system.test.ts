import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const MODULE = join(import.meta.dirname, 'remove-tree.ts')
const ORDINARY_USER = 54_321

/** Root may enter every folder, so the story is that of an ordinary user, in a process of his. */
describe.skipIf(process.getuid?.() !== 0)('removing what a machine has left, as an ordinary user', () => {
  let base: string
  const asUser = (script: string) =>
    execFileSync('setpriv', [
      `--reuid=${ORDINARY_USER}`,
      `--regid=${ORDINARY_USER}`,
      '--clear-groups',
      '--',
      ...shell(script),
    ])
  const shell = (script: string) => ['sh', '-ec', script]

  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'cove-test-remove-'))
    execFileSync('chown', [String(ORDINARY_USER), base])
  })
  afterEach(() => rmSync(base, { recursive: true, force: true }))

  it('works when folders forbid to enter them, beside others that are being removed', () => {
    // Many small folders keep `rm` busy while the locked ones refuse.
    asUser(`cd ${base}; mkdir tree; cd tree
      for i in $(seq 60); do mkdir -p open$i/a/b/c; touch open$i/a/b/c/file; done
      for i in 1 2 3; do mkdir -p locked$i/work/work; chmod 0 locked$i/work/work; done`)
    const remove = `import { removeTree } from ${JSON.stringify(MODULE)}; await removeTree('${base}/tree')`
    asUser(
      `cd ${base}; HOME=${base} exec ${process.execPath} --input-type=module -e "${remove.replaceAll('"', '\\"')}"`,
    )
    expect(existsSync(join(base, 'tree'))).toBe(false)
  })
})
