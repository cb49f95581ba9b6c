import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { copyTree } from './copy-tree.ts'
import { PROGRAM } from './testing/scratch.ts'

// Whiteouts are devices.
it.runIf(process.getuid?.() === 0)('a layer is copied with the one below it, less what it hides of that', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cove-test-over-'))
  try {
    const [below, upper, into] = ['below', 'upper', 'into'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ]
    for (const path of ['kept/inner', 'gone', 'anew', 'hidden']) mkdirSync(join(below, path), { recursive: true })
    for (const path of ['kept/one', 'kept/inner/two', 'gone/three', 'anew/four', 'hidden/five', 'six', 'seven']) {
      writeFileSync(join(below, path), `below ${path}`)
    }
    execFileSync('mknod', [join(below, 'absent'), 'c', '0', '0'])
    for (const path of ['kept', 'anew', 'absent']) mkdirSync(join(upper, path), { recursive: true })
    for (const path of ['kept/one', 'anew/eight', 'absent/nine']) writeFileSync(join(upper, path), `upper ${path}`)
    for (const path of ['gone', 'six']) execFileSync('mknod', [join(upper, path), 'c', '0', '0'])
    execFileSync('setfattr', ['-n', 'trusted.overlay.opaque', '-v', 'y', join(upper, 'anew')])
    execFileSync('chown', ['-R', '5000:5000', upper])
    const content = { kind: 'upper', parts: [{ path: upper, at: '/' }], idBase: 5000, below } as const
    await copyTree(PROGRAM, { content, into })
    const text = (path: string): string => readFileSync(join(into, path), 'utf8')
    expect(readdirSync(into).toSorted()).toEqual(['absent', 'anew', 'gone', 'hidden', 'kept', 'seven', 'six'])
    expect([text('kept/one'), text('kept/inner/two'), text('hidden/five'), text('seven')]).toEqual([
      'upper kept/one',
      'below kept/inner/two',
      'below hidden/five',
      'below seven',
    ])
    expect([readdirSync(join(into, 'anew')), readdirSync(join(into, 'absent'))]).toEqual([['eight'], ['nine']])
    for (const path of ['gone', 'six']) expect(statSync(join(into, path)).isCharacterDevice()).toBe(true)
    expect(statSync(join(into, 'kept/one')).uid).toBe(0)
    // What the lower one hid of the layers below both stays hidden.
    const marks = execFileSync('getfattr', ['--absolute-names', '-d', '-m', '-', join(into, 'absent')], {
      encoding: 'utf8',
    })
    expect(marks).toContain('overlay.opaque="y"')
    expect(existsSync(join(into, 'gone/three'))).toBe(false)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
