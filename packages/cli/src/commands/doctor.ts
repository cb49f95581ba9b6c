import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { addOutputOption, outputChoice } from '../options/output-options.ts'
import { addSettingOptions, configArgs } from '../options/setting-options.ts'
import type { Run } from './registry.ts'

export function define(command: Command, { io }: Context, run: Run): void {
  addOutputOption(command)
  addSettingOptions(command).action(() =>
    run(async () => {
      const { doctor } = await import('../daemon/doctor.ts')
      return doctor({ ...configArgs(command), output: outputChoice(command) }, io)
    }),
  )
}
