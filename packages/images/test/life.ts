import type { ImageStore } from '@cove/domain'
import { tarBytes, TestImage } from '../src/testing/index.ts'
import { quietly, type StorePlace } from './test-store.ts'

/** Everything that a store does, once; `promised` has the pins that it has promised to keep. */
export async function life(place: StorePlace, store: ImageStore, promised: Set<string>): Promise<void> {
  using image = imageIn(place)
  {
    using base = await store.fetch(`oci-layout:${image.folder}`, quietly())
    await store.pin('base', base.info.id)
    promised.add('base')
    using grown = await store.commit({
      ...quietly(),
      parent: base.info.id,
      content: { kind: 'upper', parts: [{ path: place.tree('upper', { 'etc/new': 'n' }), at: '/' }], idBase: 0 },
    })
    await store.pin('grown', grown.info.id)
    promised.add('grown')
  }
  let other
  {
    using taken = await store.fetch(`tar:${place.tar('other.tar', { hello: 'world' })}`, quietly())
    other = taken.info.id
  }
  await store.remove(other)
  using _again = await store.fetch(`directory:${place.tree('other.tar.tree', {})}`, quietly())
  promised.delete('base')
  await store.unpin('base')
  await store.collect(0)
}

/** Goes with the place, also when the life is ended in the middle. */
function imageIn(place: StorePlace): TestImage {
  const { TMPDIR: before } = process.env
  process.env['TMPDIR'] = place.folder
  try {
    return new TestImage({
      layers: [
        tarBytes([
          { name: 'etc/', type: '5', mode: 0o755 },
          { name: 'etc/a', content: 'base' },
        ]),
        tarBytes([{ name: 'etc/b', content: 'more' }]),
      ],
    })
  } finally {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  }
}
