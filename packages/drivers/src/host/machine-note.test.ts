import type { DiskId, MachineId } from '@cove/domain'
import { expect, it } from 'vitest'
import { readNote, writeNote, type MachineNote } from './machine-note.ts'

const note: MachineNote = {
  driver: 'bubblewrap',
  machine: 'abcdefghijklmnop' as MachineId,
  disk: 'ponmlkjihgfedcba' as DiskId,
  slot: 3,
  template: 'x',
  limits: [
    { name: 'cpus', value: 0.5, enforced: true },
    { name: 'diskBytes', value: 1024, enforced: false, reason: 'why '.repeat(1000) },
  ],
}

it('survives being written and read, with long reasons cut', () => {
  const text = writeNote(note)
  expect(text.length).toBeLessThan(4096)
  const read = readNote(text, 'bubblewrap')
  expect(read).toMatchObject({ machine: note.machine, disk: note.disk, slot: 3, template: 'x' })
  expect(read?.limits[0]).toEqual(note.limits[0])
  expect(read?.limits[1]?.reason).toMatch(/^why why/)
})

it.each([
  ['', 'nothing'],
  ['{', 'no JSON'],
  ['[]', 'another shape'],
  [writeNote({ ...note, driver: 'native' }), 'the note of another driver'],
  [JSON.stringify({ version: 2, driver: 'bubblewrap', machine: 'abcdefghijklmnop' }), 'a later version'],
  [JSON.stringify({ version: 1, driver: 'bubblewrap', machine: '../../etc' }), 'an id that is none'],
])('does not take %j for its own: %s', (text) => {
  expect(readNote(text, 'bubblewrap')).toBeUndefined()
})
