import { copyTree, type CopyTreeRequest } from '../layers/copy-tree.ts'
import type { LayerReport } from '../layers/layer-report.ts'
import { packLayer } from '../layers/pack-layer.ts'
import { removeTree } from '../layers/remove-tree.ts'
import { unpackFiles, type UnpackFilesRequest } from '../layers/unpack-files.ts'
import { unpackLayer, type UnpackedLayer, type UnpackLayerRequest } from '../layers/unpack-layer.ts'

/** What the store needs done with the content of layers. */
export interface LayerTool {
  unpack(request: UnpackLayerRequest): Promise<UnpackedLayer>
  unpackFiles(request: UnpackFilesRequest): Promise<LayerReport>
  copy(request: CopyTreeRequest): Promise<LayerReport>
  /** The archive of a layer that is a folder; the same folder gives the same bytes. */
  pack(folder: string, signal?: AbortSignal): AsyncIterable<Uint8Array>
  remove(folder: string): Promise<void>
}

/** By the program `cove-layers`. */
export function layerTool(program: string): LayerTool {
  return {
    unpack: async (request) => await unpackLayer(program, request),
    unpackFiles: async (request) => await unpackFiles(program, request),
    copy: async (request) => await copyTree(program, request),
    pack: (folder, signal) =>
      packLayer(program, { kind: 'upper', parts: [{ path: folder, at: '/' }], idBase: 0 }, signal),
    remove: async (folder) => await removeTree(program, folder),
  }
}
