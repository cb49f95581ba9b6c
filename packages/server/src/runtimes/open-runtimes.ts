import type { Clock, Random } from '@cove/domain'
import type { Sandboxes } from '../sandboxes/sandboxes.ts'
import type { RuntimeCommands } from './commands.ts'
import { Grounds } from './ground.ts'
import { Installer } from './install/installer.ts'
import type { Kit } from './kit.ts'
import { withPackages } from './languages.ts'
import { checkPackages } from './package-names.ts'
import { runCode } from './run-code.ts'
import { checkBounds, encodeCode } from './request.ts'
import { RUNTIMES, type Runtimes } from './runtimes.ts'

export interface RuntimesOptions {
  readonly sandboxes: Pick<Sandboxes, 'guest'>
  readonly random: Random
  readonly clock: Clock
  /** In place of what is found in sandboxes. */
  readonly commands?: RuntimeCommands
}

export function openRuntimes({ sandboxes, random, clock, commands = {} }: RuntimesOptions): Runtimes {
  const kit: Kit = { random, clock, commands, grounds: new Grounds(random, clock) }
  const installer = new Installer(kit)
  return {
    names: RUNTIMES,
    async run(caller, sandbox, request, signal) {
      checkBounds(request)
      const code = encodeCode(request.code)
      using lease = await sandboxes.guest(caller, sandbox)
      return await runCode(kit, lease, request, code, signal)
    },
    async install(caller, sandbox, request, signal) {
      checkBounds(request)
      checkPackages(request.runtime, request.packages)
      using lease = await sandboxes.guest(caller, sandbox)
      return await installer.install(lease, request, signal)
    },
    async environment({ guest, sandbox }, signal) {
      const ground = await kit.grounds.of(guest, sandbox, signal)
      return { PATH: withPackages(ground, ground.path) }
    },
  }
}
