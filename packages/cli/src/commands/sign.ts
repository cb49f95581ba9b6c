import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { STATUS } from '../exit-status.ts'
import { addOutputOption, outputFormat } from '../options/output-options.ts'
import { duration } from '../options/parse.ts'
import { remotePlace } from '../options/place.ts'
import { writeData } from '../render/data.ts'
import { UsageError } from '../usage-error.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  curl "$(cove sign web:/home/user/out.csv)"
  curl -T in.csv "$(cove sign --write --expires-in 10m web:/home/user/in.csv)"

Whoever has the address may read (or write) this one file until it expires, without a key.
`

interface Parsed {
  readonly write?: boolean
  readonly expiresIn?: number
  readonly user?: string
}

export function define(command: Command, { io, client }: Context, run: Run): void {
  command
    .argument('<place>', '<sandbox>:<path of a file>')
    .option('--write', 'an address to PUT the file to, instead of one to GET it from')
    .option('--expires-in <time>', 'how long it is good (default: 1h, at most 7d)', duration)
    .option('-u, --user <name>', 'act as root or user inside (default: user)')
  addOutputOption(command)
    .addHelpText('after', EXAMPLES)
    .action((text: string) =>
      run(async () => {
        const place = remotePlace(text)
        if (place === undefined) {
          throw new UsageError(
            `${JSON.stringify(text)} is no file of a sandbox`,
            'Write <sandbox>:<path>, for example web:/tmp/x.',
          )
        }
        const { write = false, expiresIn, user } = command.opts<Parsed>()
        const signed = await (await client()).sandboxes.at(place.sandbox).files.signUrl(place.path, {
          operation: write ? 'write' : 'read',
          ...(expiresIn === undefined ? {} : { expiresIn }),
          ...(user === undefined ? {} : { user }),
        })
        const format = outputFormat(command)
        if (format === 'table') io.stdout.write(`${signed.url}\n`)
        else await writeData(io, format, signed)
        return STATUS.ok
      }),
    )
}
