import { containerCreate } from './lib/container-create.ts'

export const run = containerCreate('gvisor-create', 'gvisor', 'runsc')
