import { join } from 'node:path'
import { copyBlob, readSmall, type ImageFiles } from './image-files.ts'

/** An OCI layout that is a directory: nothing is copied before it is asked for, and nothing believed before it is read. */
export class LayoutFolder implements ImageFiles {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  read(name: string, most: number): Promise<Buffer | undefined> {
    return readSmall(join(this.#folder, name), most)
  }

  facts(): undefined {
    return undefined
  }

  place(name: string, ...rest: Parameters<ImageFiles['place']> extends [string, ...infer More] ? More : never) {
    return copyBlob(join(this.#folder, name), ...rest)
  }
}
