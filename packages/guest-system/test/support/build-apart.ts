import { openGuestSystems } from '../../src/index.ts'

/** Builds in a process of its own, so that it can be killed. */
const [folder = '', ...programFolders] = process.argv.slice(2)
const unused = { bootProgram: '', guestProgram: '', layersProgram: '' }
const systems = openGuestSystems({ folder, machine: 'x86_64', ...unused, programFolders })
await systems.build({ signal: new AbortController().signal, log: (line) => console.log(line) })
