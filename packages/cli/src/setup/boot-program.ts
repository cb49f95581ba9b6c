import { dirname, join } from 'node:path'

/** Path of the first program of VMs: beside the guest program, in a checkout and in a released package. */
export function bootProgramBeside(guestProgram: string): string {
  return join(dirname(guestProgram), 'cove-boot')
}
