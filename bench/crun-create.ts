import { containerCreate } from './lib/container-create.ts'

export const run = containerCreate('crun-create', 'crun', 'crun')
