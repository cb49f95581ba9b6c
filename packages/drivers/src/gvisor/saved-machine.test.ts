import * as fc from 'fast-check'
import { CoveError } from '@cove/domain'
import { describe, expect, it } from 'vitest'
import { SnapshotStore } from '../host/snapshot-store.ts'
import { parseManifest, type Manifest } from './saved-machine.ts'

const store = new SnapshotStore('/nowhere', parseManifest)
const MANIFEST: Manifest = {
  version: 1,
  runsc: 'runsc 1',
  platform: 'systrap',
  template: 'host-1',
  tmpBytes: 5,
  volumes: ['/data'],
  bytes: 7,
}

describe('the manifest of a saved machine', () => {
  it('is read as it was written', () => {
    expect(store.parse(JSON.stringify(MANIFEST))).toEqual(MANIFEST)
  })

  it('that is not one is refused with a reason, whatever it is', () => {
    const other = fc.constantFrom(...Object.keys(MANIFEST)).chain((key) =>
      fc.oneof(fc.constant(null), fc.string(), fc.array(fc.integer(), { minLength: 1 })).map((value) => ({
        ...MANIFEST,
        [key]: key === 'volumes' || Array.isArray(value) ? [1] : typeof value === 'string' ? [] : value,
      })),
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          other.map((value) => JSON.stringify(value)),
        ),
        (text) => {
          expect(() => store.parse(text)).toThrow(CoveError)
        },
      ),
    )
  })
})
