/**
 * Writes docs/reference/cli.md from the definitions that the command line parses, explains and completes with, and
 * docs/reference/cove.schema.json from those that `cove.yaml` is read with.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeCommandLine, describeSettings, projectSchema, templateSchema, type SettingInfo } from '@cove/cli'

type Command = Awaited<ReturnType<typeof describeCommandLine>>
type Option = Command['options'][number]

const FOLDER = join(import.meta.dirname, '../../docs/reference')

function page(program: Command): string {
  const commands = visible(program)
  const groups = new Map<string, Command[]>()
  for (const command of commands) {
    const group = command.helpGroup().replace(/:$/, '')
    groups.set(group, [...(groups.get(group) ?? []), command])
  }
  const parts = [
    '# The command line: reference',
    'Made from the definitions of the commands by `npm run generate`. The guide is in [cli.md](../cli.md).',
    'These options stand before or behind every command that talks to a Cove:',
    optionList(visibleOptions(program).filter(({ long }) => long !== '--version')),
    '`cove --version` (`-v`) says what `cove version` says.',
    [...groups].map(([group, members]) => `- **${group}**: ${members.map(linkTo).join(', ')}`).join('\n'),
    ...commands.flatMap((command) => section(command, 2)),
    '## Settings of the daemon',
    'In the configuration file, as a variable, and as an option of `cove up`; see the [guide](../cli.md#configuration).',
    settingTable(describeSettings()),
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

function section(command: Command, level: number): string[] {
  const name = fullName(command)
  const inner = visible(command)
  const takes = command.registeredArguments.map((argument) => {
    const choices = argument.argChoices === undefined ? '' : ` One of ${argument.argChoices.join(', ')}.`
    return `- \`${argument.name()}\`: ${argument.description}${choices}`
  })
  return [
    `${'#'.repeat(level)} ${name}`,
    command.description(),
    inner.length > 0 && takes.length === 0 ? '' : `\`\`\`text\n${name} ${command.usage()}\n\`\`\``,
    takes.join('\n'),
    optionList(visibleOptions(command).filter(({ long }) => long !== '--help')),
    afterText(command),
    ...inner.flatMap((sub) => section(sub, level + 1)),
  ]
}

function settingTable(settings: readonly SettingInfo[]): string {
  const rows = settings.map(({ name, variable, usual, about }) => {
    const shown = usual === undefined ? 'depends on the user' : usual === '' ? 'none' : `\`${usual}\``
    return `| \`${name}\` | \`${variable}\` | ${shown} | ${about} |`
  })
  return ['| Setting | Variable | Default | What |', '|---|---|---|---|', ...rows].join('\n')
}

const linkTo = (command: Command): string => `[${command.name()}](#${fullName(command).replaceAll(' ', '-')})`

function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`
}

function visible(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((inner) => inner.name() !== 'help')
}

const visibleOptions = (command: Command): Option[] => command.createHelp().visibleOptions(command)

function optionList(options: readonly Option[]): string {
  return options.map((option) => `- \`${option.flags}\`: ${option.description}${facts(option)}`).join('\n')
}

function facts({ argChoices, defaultValue }: Option): string {
  const choices = argChoices === undefined ? '' : `; one of ${argChoices.join(', ')}`
  const usual = typeof defaultValue === 'string' || typeof defaultValue === 'number' ? `; default ${defaultValue}` : ''
  return `${choices}${usual}`
}

/** Examples and notes that the help shows below the options. */
function afterText(command: Command): string {
  let text = ''
  command.configureOutput({ writeOut: (part) => (text += part) })
  command.outputHelp()
  const own = command.createHelp().formatHelp(command, command.createHelp())
  const rest = text.slice(own.length).trim()
  return rest === '' ? '' : `\`\`\`text\n${rest}\n\`\`\``
}

const program = await describeCommandLine()
writeFileSync(join(FOLDER, 'cli.md'), page(program))
writeFileSync(join(FOLDER, 'cove.schema.json'), `${JSON.stringify(projectSchema(), null, 2)}\n`)
writeFileSync(join(FOLDER, 'cove.template.schema.json'), `${JSON.stringify(templateSchema(), null, 2)}\n`)
