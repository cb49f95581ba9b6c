import { ISOLATIONS } from '@cove/domain'
import type { CreateOptions, Isolation, VolumeMount } from '@cove/sdk'
import { Option, type Command } from 'commander'
import { UsageError } from '../usage-error.ts'
import { amount, bytes, count, each, pairs, timeout } from './parse.ts'

interface Parsed {
  readonly template?: string
  readonly snapshot?: string
  readonly volume?: string[]
  readonly name?: string
  readonly isolation?: Isolation
  readonly driver?: string
  readonly network?: 'none' | 'internet'
  readonly allow?: string[]
  readonly label?: Record<string, string>
  readonly limitMemory?: number
  readonly limitCpus?: number
  readonly limitProcesses?: number
  readonly limitDisk?: number
  readonly idleTimeout?: number | 'never'
  readonly lifetime?: number | 'never'
  readonly onIdle?: 'delete' | 'pause'
  readonly autoResume?: boolean
}

/** What a new sandbox can be told, the same for `create`, `run` and `shell`. */
export function addCreateOptions(command: Command): Command {
  return command
    .optionsGroup('The sandbox:')
    .option('--template <name>', 'what it starts from (default: host)')
    .option('--snapshot <snapshot>', 'go on from this one, in place of a template')
    .option('--volume <volume:path>', 'show a volume there, :ro at its end only to be read; may be repeated', each)
    .option('--name <name>', 'name it, to find it again')
    .addOption(new Option('--isolation <kind>', 'the weakest wall that is acceptable').choices(ISOLATIONS))
    .option('--driver <name>', 'a certain driver')
    .addOption(new Option('--network <kind>', 'what it may reach (default: none)').choices(['none', 'internet']))
    .option('--allow <target>', 'reach this too, such as 10.1.2.3:80 or host:5432; may be repeated', each)
    .option('--label <name=value>', 'label it; may be repeated', pairs)
    .option('--limit-memory <size>', 'memory, such as 512MiB', bytes)
    .option('--limit-cpus <number>', 'processors, such as 0.5', amount)
    .option('--limit-processes <count>', 'processes and threads together', count)
    .option('--limit-disk <size>', 'space on its disk, such as 1GiB', bytes)
    .option('--idle-timeout <time>', 'end it after so long without activity, such as 10m, or never', timeout)
    .addOption(new Option('--on-idle <what>', 'what happens to it then (default: delete)').choices(['delete', 'pause']))
    .option('--auto-resume', 'resume it when it is used while it is paused (default: with --on-idle pause)')
    .option('--no-auto-resume', 'never')
    .option('--lifetime <time>', 'end it after so long in any case, or never', timeout)
    .option('--no-project-file', 'do not look for a cove.yaml here and above')
}

export function createOptions(command: Command): CreateOptions {
  const parsed = command.opts<Parsed>()
  const { template, snapshot, volume, name, isolation, driver, network, allow, label, idleTimeout, lifetime } = parsed
  const { onIdle, autoResume } = parsed
  if (allow !== undefined && network !== 'internet') {
    throw new UsageError('--allow has no meaning without a network', 'Add --network internet.')
  }
  const limits = {
    ...(parsed.limitMemory === undefined ? {} : { memoryBytes: parsed.limitMemory }),
    ...(parsed.limitCpus === undefined ? {} : { cpus: parsed.limitCpus }),
    ...(parsed.limitProcesses === undefined ? {} : { processes: parsed.limitProcesses }),
    ...(parsed.limitDisk === undefined ? {} : { diskBytes: parsed.limitDisk }),
  }
  return {
    ...(template === undefined ? {} : { template }),
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(volume === undefined ? {} : { volumes: volume.map(volumeMount) }),
    ...(name === undefined ? {} : { name }),
    ...(isolation === undefined ? {} : { isolation }),
    ...(driver === undefined ? {} : { driver }),
    ...(network === undefined ? {} : { network: network === 'none' ? network : { kind: network, allow: allow ?? [] } }),
    ...(label === undefined ? {} : { labels: label }),
    ...(idleTimeout === undefined ? {} : { idleTimeout }),
    ...(lifetime === undefined ? {} : { lifetime }),
    ...(onIdle === undefined ? {} : { onIdle }),
    ...(autoResume === undefined ? {} : { autoResume }),
    limits,
  }
}

/** `data:/data`, `data:/data:ro`. */
function volumeMount(text: string): VolumeMount {
  const [volume = '', path = '', mode, ...more] = text.split(':')
  if (
    volume === '' ||
    !path.startsWith('/') ||
    more.length > 0 ||
    (mode !== undefined && mode !== 'ro' && mode !== 'rw')
  ) {
    throw new UsageError(`--volume ${text} is not a volume and a path`, 'Write it as data:/data, or data:/data:ro.')
  }
  return { volume, path, readOnly: mode === 'ro' }
}
