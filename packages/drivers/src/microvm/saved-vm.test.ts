import { mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { CoveError } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import { SnapshotStore } from '../host/snapshot-store.ts'
import { MAX_STATE_BYTES, parseVmManifest, readState, type VmManifest } from './saved-vm.ts'

const MARK = { size: 8192, samples: [0, 4096], digest: 'a1' }
const MANIFEST: VmManifest = {
  version: 1,
  vm: {
    system: 'f00d',
    accelerator: 'tcg',
    monitor: 'QEMU 7.2',
    cpu: 'max',
    memoryBytes: 8192,
    cpus: 1,
    network: false,
    volumes: 0,
    root: 'root.erofs',
  },
  ram: MARK,
  disk: MARK,
  state: { size: 5, digest: 'b2' },
  bytes: 9,
}
const store = new SnapshotStore('/nowhere', parseVmManifest)

describe('the manifest of a saved virtual machine', () => {
  it('is read as it was written', () => {
    expect(store.parse(JSON.stringify(MANIFEST))).toEqual(MANIFEST)
  })

  it('that is not one is refused with a reason, whatever it is', () => {
    const keys = Object.keys(MANIFEST)
    const without = fc.constantFrom(...keys).map((key) => ({ ...MANIFEST, [key]: undefined }))
    const part = fc
      .constantFrom(...Object.keys(MANIFEST.vm))
      .map((key) => ({ ...MANIFEST, vm: { ...MANIFEST.vm, [key]: [] } }))
    const mark = fc
      .constantFrom(
        [-1],
        ['0'],
        Array.from({ length: 65 }, () => 0),
      )
      .map((samples) => ({
        ...MANIFEST,
        ram: { ...MARK, samples },
      }))
    const texts = fc.oneof(without, part, mark).map((value) => JSON.stringify(value))
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), texts), (text) => {
        expect(() => store.parse(text)).toThrow(CoveError)
      }),
    )
  })
})

describe('the state of a machine', () => {
  it('is read from a file of a size that it can have, and from nothing else', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cove-test-'))
    try {
      const place = (name: string) => join(folder, name)
      await writeFile(place('state'), 'registers')
      expect((await readState(place('state'))).toString()).toBe('registers')
      await symlink(place('state'), place('link'))
      await writeFile(place('empty'), '')
      await writeFile(place('large'), '')
      await truncate(place('large'), MAX_STATE_BYTES + 1)
      for (const name of ['link', 'empty', 'large', '.', 'missing'])
        await expect(readState(place(name))).rejects.toThrow(/./)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
