import type { ImageStore, NodeImages } from '@cove/domain'

/** The image store as the control plane sees it: what it fetches stays, under a name. */
export function nodeImages(images: ImageStore): NodeImages {
  return {
    list: () => images.list(),
    async fetch(source, pin, progress, signal, refresh = false) {
      using lease = await images.fetch(source, { signal, progress, refresh })
      await images.pin(pin, lease.info.id)
      return lease.info
    },
    pin: (name, id) => images.pin(name, id),
    unpin: (name) => images.unpin(name),
    remove: (id) => images.remove(id),
    collect: (bytes) => images.collect(bytes),
    export: (id, format, signal) => images.export(id, format, signal),
    async import(archive, pin, signal) {
      using lease = await images.import(archive, { signal, progress: () => undefined })
      await images.pin(pin, lease.info.id)
      return lease.info
    },
  }
}
