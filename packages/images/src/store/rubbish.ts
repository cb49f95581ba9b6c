import { rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Folders } from './folders.ts'
import type { LayerTool } from './layer-tool.ts'
import type { Step } from './step.ts'

/** What is to be removed, until it is: what could not be at one time is tried again the next. */
export class Rubbish {
  readonly #folders: Folders
  readonly #tool: LayerTool
  readonly #step: Step
  readonly #files = new Set<string>()
  readonly #layers = new Set<string>()
  readonly #trash = new Set<string>()

  constructor(folders: Folders, tool: LayerTool, step: Step) {
    this.#folders = folders
    this.#tool = tool
    this.#step = step
  }

  get isEmpty(): boolean {
    return this.#files.size === 0 && this.#layers.size === 0 && this.#trash.size === 0
  }

  add({ files, layers }: { readonly files: readonly string[]; readonly layers: readonly string[] }): void {
    for (const file of files) this.#files.add(file)
    for (const layer of layers) this.#layers.add(layer)
  }

  /** Takes everything from its place; a layer in one moment, so that no half of one is ever there. */
  async takeAway(): Promise<void> {
    for (const file of this.#files) {
      await this.#step('remove a file')
      await rm(file, { force: true })
      this.#files.delete(file)
    }
    for (const layer of this.#layers) {
      await this.#step('move a layer away')
      const trash = join(this.#folders.trash, basename(layer))
      await rename(layer, trash)
      this.#layers.delete(layer)
      this.#trash.add(trash)
    }
  }

  async burn(): Promise<void> {
    for (const trash of this.#trash) {
      await this.#step('remove a layer')
      await this.#tool.remove(trash)
      this.#trash.delete(trash)
    }
  }
}
