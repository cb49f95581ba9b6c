import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeRunner } from '../conformance/index.ts'
import { GUEST_PROGRAM } from '../../test/support/bench.ts'
import { openRunner } from './open-runner.ts'

describeRunner({
  name: 'native',
  missing: undefined,
  capabilities: {
    programsAreLookedUp: 'at once',
    takesForeignBinaries: true,
    inheritsVariables: true,
    findsDetached: true,
  },
  async open() {
    const folder = mkdtempSync(join(tmpdir(), 'cove-test-'))
    const directory = join(folder, 'work')
    mkdirSync(directory)
    const runner = await openRunner({ stateFolder: join(folder, 's'), guestProgram: GUEST_PROGRAM })
    const environment = runner.native({ directory })
    return {
      environment,
      directory,
      async [Symbol.asyncDispose]() {
        await environment.shutdown()
        await runner.launcher.stopLauncher()
        await runner.close()
        rmSync(folder, { recursive: true })
      },
    }
  },
})
