import { dirname, join } from 'node:path'

/** Path of the program for layers of images: beside the guest program, in a checkout and in a released package. */
export function layersProgramBeside(guestProgram: string): string {
  return join(dirname(guestProgram), 'cove-layers')
}
