import { readFile } from 'node:fs/promises'
import { silentLog, type ImageStore } from '@cove/domain'
import { openArchive, openLayout } from '../archive/open-archive.ts'
import { openRegistry } from '../registry/open-registry.ts'
import { Catalog } from './catalog.ts'
import { foldersIn, makeFolders } from './folders.ts'
import { Gate } from './gate.ts'
import { IndexFile } from './index-file.ts'
import { layerTool } from './layer-tool.ts'
import { LocalImageStore } from './local-image-store.ts'
import type { ImageStoreInsides, ImageStoreOptions } from './options.ts'
import type { FetchedBlob, HeldLayer } from './parts.ts'
import { Rubbish } from './rubbish.ts'
import { SharedWork } from './shared-work.ts'
import { noStep } from './step.ts'
import { syncFileSystem } from './settle.ts'
import { sweep } from './sweep.ts'

const BUDGET_BYTES = 32 * 2 ** 30
/** Unpacking keeps a processor busy. */
const UNPACKING = 2

/**
 * Opens the images below a folder, made when it is not there. What an earlier process left half-done is removed first.
 * Errors: `store-corrupt`, `store-too-new`, `no-space`, `io-error`.
 */
export async function openImageStore(options: ImageStoreOptions, insides: ImageStoreInsides = {}): Promise<ImageStore> {
  const log = options.log ?? silentLog
  const step = insides.step ?? noStep
  const program = layerTool(options.layersProgram)
  const layers = insides.layers?.(program) ?? program
  const folders = foldersIn(options.folder)
  await makeFolders(folders)
  const file = new IndexFile(folders.index, step)
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()
  const written = await file.load()
  const state = await sweep({ folders, layers, log, bootId }, written)
  // Whoever opens it on a full disk gets to free some; the records are read in the same way again.
  if (state !== written) await file.save(state).catch(() => {})
  const registry = openRegistry(options.registry ?? {})
  const parts = {
    folders,
    catalog: new Catalog(state, file),
    layers,
    openers: {
      registry: registry.resolve.bind(registry),
      archive: openArchive,
      layout: openLayout,
    },
    pulls: new SharedWork<FetchedBlob, number>((blob) => blob.again()),
    unpacks: new SharedWork<HeldLayer, void>((layer) => layer.again()),
    unpacking: new Gate(UNPACKING),
    rubbish: new Rubbish(folders, layers, step),
    sync: insides.sync ?? syncFileSystem,
    clock: options.clock,
    log,
    step,
    bootId,
    close: () => registry[Symbol.dispose](),
    ...(options.buildDockerfile === undefined ? {} : { buildDockerfile: options.buildDockerfile }),
  }
  return new LocalImageStore(parts, options.budgetBytes ?? BUDGET_BYTES)
}
