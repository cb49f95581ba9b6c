import { CoveError, formatBytes } from '@cove/domain'
import type { Cove, TemplateInfo, TemplateMemoryInfo } from '@cove/sdk'
import { Option, type Command } from 'commander'
import { Interrupts } from '../attach/interrupts.ts'
import type { Context } from '../context.ts'
import { forEachName } from '../each.ts'
import { STATUS } from '../exit-status.ts'
import { addListOptions, addOutputOption, outputChoice, outputFormat } from '../options/output-options.ts'
import { writeData } from '../render/data.ts'
import { detailsText } from '../render/details.ts'
import { writeList } from '../render/list.ts'
import type { Column } from '../render/table.ts'
import { ageText, commandText } from '../render/text.ts'
import { UsageError } from '../usage-error.ts'
import type { Run } from './registry.ts'

const EXAMPLES = `
Examples:
  cove template build                     # what ./cove.template.yaml describes
  cove template build app --tag web:2.0   # app/cove.template.yaml, under this name
  cove create --template web:2.0
  cove template logs web:2.0              # what its build has said

A source can be used without a template too: cove run --template oci:alpine:3.20 -- uname -a
`

const COLUMNS: readonly Column<TemplateInfo>[] = [
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'TAG', cell: ({ tag }) => tag ?? '-' },
  { title: 'SOURCE', cut: true, cell: ({ source }) => source },
  { title: 'SIZE', cell: ({ bytes }) => (bytes === undefined ? '-' : formatBytes(bytes)) },
  { title: 'MEMORY', cell: memoryText },
  { title: 'AGE', cell: ({ createdAt }) => (createdAt === undefined ? '-' : ageText(createdAt, Date.now())) },
  { title: 'DESCRIPTION', cut: true, cell: ({ description }) => description || '-' },
]

interface BuildOptions {
  readonly file?: string
  readonly tag?: string
  readonly source?: string
  readonly cache: boolean
  readonly driver?: string
  readonly network?: 'none' | 'internet'
  readonly memory?: 'none' | 'internet' | true
  readonly detach?: boolean
  readonly quiet?: boolean
}

export function define(command: Command, context: Context, run: Run): void {
  const { io, client } = context
  command.addHelpText('after', EXAMPLES)
  const build = command
    .command('build')
    .summary('build a template from its definition')
    .argument('[directory]', 'where cove.template.yaml is (default: here)')
    .option('-f, --file <file>', 'a definition of another name')
    .option('-t, --tag <name>', 'name it so, as <name> or <name>:<tag>')
    .option('--source <source>', 'start from this, whatever the definition says')
    .option('--no-cache', 'do every step again')
    .option('--driver <name>', 'carry the steps out with a certain driver')
    .addOption(new Option('--network <kind>', 'what the steps can reach').choices(['none', 'internet']))
    .addOption(
      new Option('--memory [network]', 'keep its memory too, for sandboxes with this network (default: none)').choices([
        'none',
        'internet',
      ]),
    )
    .option('--detach', 'print the id of the build and leave it alone')
  addOutputOption(build)
    .option('-q, --quiet', 'print the name only')
    .action((directory: string | undefined) => run(() => buildTemplate(build, context, directory)))
  const list = command.command('ls').summary('list templates')
  addListOptions(list, 'print names only').action(() =>
    run(async () => {
      const templates = await (await client()).templates.list()
      await writeList(io, outputChoice(list), templates, { columns: COLUMNS, id: fullName })
      return STATUS.ok
    }),
  )
  const get = command.command('get').summary('show one template').argument('<template>', 'name, or name:tag')
  addOutputOption(get).action((name: string) =>
    run(async () => {
      const template = await (await client()).templates.get(name)
      const format = outputFormat(get)
      if (format === 'table') io.stdout.write(templateDetails(template))
      else await writeData(io, format, template)
      return STATUS.ok
    }),
  )
  command
    .command('rm')
    .summary('delete templates; sandboxes that were made of them go on')
    .argument('<templates...>', 'names, or name:tag')
    .action((names: string[]) =>
      run(async () => {
        const cove = await client()
        return forEachName(names, io, async (name) => {
          // Told apart here: to the server it is no error to remove what is not there.
          await cove.templates.get(name)
          await cove.templates.remove(name)
        })
      }),
    )
  command
    .command('logs')
    .summary('show what the build of a template says')
    .argument('<template>', 'name, name:tag, or the id of a build')
    .action((name: string) => run(() => showLogs(context, name)))
}

async function buildTemplate(command: Command, { io, client }: Context, directory: string | undefined) {
  const {
    file,
    tag,
    source,
    cache,
    driver,
    network,
    memory,
    detach = false,
    quiet = false,
  } = command.opts<BuildOptions>()
  if (file !== undefined && directory !== undefined) {
    throw new UsageError('a directory and a file are both named', 'Name one of them.')
  }
  const { readDefinition } = await import('../template/read-definition.ts')
  const definition = readDefinition(file ?? directory ?? '.', source)
  const name = tag ?? definition.name
  if (name === undefined) {
    throw new UsageError(`${definition.path} has no name`, 'Add `name:` to it, or use --tag <name>.')
  }
  const carrier = driver ?? definition.driver
  using interrupts = new Interrupts(io)
  const cove = await client()
  const build = await cove.templates.build(definition.template, {
    name,
    context: definition.directory,
    noCache: !cache,
    ...(carrier === undefined ? {} : { driver: carrier }),
    ...(definition.buildLimits === undefined ? {} : { buildLimits: definition.buildLimits }),
    ...(network === undefined ? {} : { network }),
    ...(memory === undefined ? {} : { memory: memory === true ? 'none' : memory }),
    signal: interrupts.first,
  })
  const format = outputFormat(command)
  if (detach) {
    if (format === 'table') io.stdout.write(`${build.id}\n`)
    else await writeData(io, format, { build: build.id, name })
    return STATUS.ok
  }
  const { showBuild } = await import('../template/show-build.ts')
  try {
    const events = build.events({ signal: interrupts.first })
    const template = await showBuild(events, io, io.stderr, { steps: definition.steps, quiet })
    if (template === undefined) return STATUS.failure
    if (format !== 'table') await writeData(io, format, quiet ? fullName(template) : template)
    else io.stdout.write(`${fullName(template)}\n`)
    return STATUS.ok
  } catch (thrown) {
    if (interrupts.status === undefined) throw thrown
    if (!quiet) io.stderr.write('cancelling the build; once more to leave it alone\n')
    await build.cancel({ signal: interrupts.abandon })
    return interrupts.status
  }
}

async function showLogs({ io, client }: Context, name: string): Promise<number> {
  const cove = await client()
  using interrupts = new Interrupts(io)
  const build = cove.templates.buildOf(await buildId(cove, name))
  const { showBuild } = await import('../template/show-build.ts')
  try {
    await showBuild(build.events({ signal: interrupts.first }), io, io.stdout, { quiet: false })
    return STATUS.ok
  } catch (thrown) {
    if (interrupts.status === undefined) throw thrown
    return interrupts.status
  }
}

/** Of the template's newest version; what is no template may be a build. */
async function buildId(cove: Cove, name: string): Promise<string> {
  try {
    const { build } = await cove.templates.get(name)
    if (build !== undefined) return build
  } catch (thrown) {
    if (/^[a-z2-7]{16}$/.test(name) && thrown instanceof CoveError && thrown.code === 'template-not-found') return name
    throw thrown
  }
  throw new CoveError('build-not-found', `the template ${name} was not built`, {}, { fix: 'See `cove template ls`.' })
}

const fullName = ({ name, tag }: TemplateInfo): string => (tag === undefined ? name : `${name}:${tag}`)

function templateDetails(template: TemplateInfo): string {
  const { description, source, bytes, createdAt, env, workdir, user, start, limits, platform, steps, image, build } =
    template
  const { memoryBytes, cpus, processes, diskBytes } = limits
  const limitTexts = [
    ...(memoryBytes === undefined ? [] : [`memory ${formatBytes(memoryBytes)}`]),
    ...(cpus === undefined ? [] : [`cpus ${cpus}`]),
    ...(processes === undefined ? [] : [`processes ${processes}`]),
    ...(diskBytes === undefined ? [] : [`disk ${formatBytes(diskBytes)}`]),
  ]
  return detailsText([
    ['name', fullName(template)],
    ['description', description || undefined],
    ['source', source],
    ...steps.map((step, index): [string, string] => [`step ${index + 1}`, step]),
    ['start', start === undefined ? undefined : commandText(start.argv)],
    ['ready', readyText(start?.ready)],
    [
      'env',
      Object.entries(env)
        .map(([key, value]) => `${key}=${value}`)
        .join(' ') || undefined,
    ],
    ['workdir', workdir],
    ['user', user],
    ['limits', limitTexts.join(', ') || undefined],
    ['platform', platform],
    ['size', bytes === undefined ? undefined : formatBytes(bytes)],
    ['memory', template.memory === undefined ? undefined : memoryDetails(template.memory)],
    ['problem', template.memory?.problem === undefined ? undefined : `${template.memory.problem}; build it anew`],
    ['image', image],
    ['build', build],
    ['drivers', template.drivers.join(', ')],
    ['age', createdAt === undefined ? undefined : ageText(createdAt, Date.now())],
  ])
}

function memoryText({ memory }: TemplateInfo): string {
  if (memory === undefined) return '-'
  return `${memory.driver}${memory.problem === undefined ? '' : ' (stale)'}`
}

function memoryDetails({ driver, network, bytes }: TemplateMemoryInfo): string {
  return `${formatBytes(bytes)}, kept by ${driver}, for sandboxes with the network ${network.kind}`
}

function readyText(ready: NonNullable<TemplateInfo['start']>['ready']): string | undefined {
  if (ready === undefined) return undefined
  const check = ready.port === undefined ? commandText(ready.command ?? []) : `port ${ready.port}`
  return `${check}, within ${ready.timeoutMs / 1000} s`
}
