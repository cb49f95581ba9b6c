import { rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Folders } from './folders.ts'
import { isMissing } from './index-file.ts'
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
  #last: Promise<unknown> = Promise.resolve()

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
    await this.#inTurn(async () => {
      for (const file of this.#files) await this.#remove(file)
      for (const layer of this.#layers) await this.#moveAway(layer)
    })
  }

  /** Resolves when these are not to be removed any more: their names are free for what comes anew. */
  async release(files: readonly string[]): Promise<void> {
    if (!files.some((file) => this.#files.has(file))) return
    await this.#inTurn(async () => {
      for (const file of files) if (this.#files.has(file)) await this.#remove(file)
    })
  }

  async burn(): Promise<void> {
    for (const trash of this.#trash) {
      await this.#step('remove a layer')
      await this.#tool.remove(trash)
      this.#trash.delete(trash)
    }
  }

  async #remove(file: string): Promise<void> {
    await this.#step('remove a file')
    await rm(file, { force: true })
    this.#files.delete(file)
  }

  async #moveAway(layer: string): Promise<void> {
    await this.#step('move a layer away')
    const trash = join(this.#folders.trash, basename(layer))
    try {
      await rename(layer, trash)
      this.#trash.add(trash)
    } catch (error) {
      // Somebody else has: that must not keep everything else from being removed.
      if (!isMissing(error)) throw error
    }
    this.#layers.delete(layer)
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    await turn
  }
}
