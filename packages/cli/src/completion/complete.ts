import type { Argument, Command, Option } from 'commander'
import { kindOfArgument, kindOfOption, type Kind } from './kinds.ts'

export interface Candidate {
  readonly value: string
  /** A few words for shells that show them. */
  readonly about?: string
  /** The word goes on behind it: no blank follows. */
  readonly open?: boolean
}

/** Answers with names that are known only at this moment, as far as it can at once; never rejects. */
export type LiveNames = (kind: Kind, place: Place) => Promise<readonly Candidate[]>

export interface Place {
  /** What of the word is written already. */
  readonly typed: string
  /** The words before it that are no options. */
  readonly operands: readonly string[]
  /** The command, with the options that stand before the word. */
  readonly options: Readonly<Record<string, string>>
}

/**
 * What may stand where the last of the words is being typed; `words` begin behind the program's name. Reads nothing
 * but commander's own definitions, so it knows what the command line knows.
 */
export async function complete(
  program: Command,
  words: readonly string[],
  live: LiveNames,
): Promise<readonly Candidate[]> {
  const typed = words.at(-1) ?? ''
  const { command, operands, options, pending, optionsEnded } = walk(program, words.slice(0, -1))
  if (operands.length > 0 && operands[0] === 'help' && command === program) return named(commandsOf(program), typed)
  const place: Place = { typed, operands, options }
  if (pending !== undefined) return optionValues(pending, place, live)
  if (!optionsEnded && typed.startsWith('--') && typed.includes('=')) return assignment(command, place, live)
  if (!optionsEnded && typed.startsWith('-')) return named(optionsOf(command, words), typed)
  const inner = operands.length === 0 ? commandsOf(command) : []
  const argument = argumentAt(command, operands.length)
  if (argument === undefined) return named(inner, typed)
  const choices = (argument.argChoices ?? []).map((value): Candidate => ({ value }))
  const kind = kindOfArgument(argument.name())
  const names = kind === undefined ? [] : await live(kind, place)
  return named([...inner, ...choices, ...names], typed)
}

interface Walked {
  readonly command: Command
  readonly operands: readonly string[]
  readonly options: Readonly<Record<string, string>>
  /** The option whose value comes next. */
  readonly pending: Option | undefined
  readonly optionsEnded: boolean
}

/** Reads the words that are there as commander reads them. */
function walk(program: Command, words: readonly string[]): Walked {
  let command = program
  let operands: string[] = []
  let pending: Option | undefined
  let optionsEnded = false
  const options: Record<string, string> = {}
  for (const word of words) {
    if (pending !== undefined && !(pending.variadic && word.startsWith('-'))) {
      options[pending.attributeName()] = word
      if (!pending.variadic) pending = undefined
      continue
    }
    pending = undefined
    if (optionsEnded) operands.push(word)
    else if (word === '--') optionsEnded = true
    else if (word.startsWith('-') && word !== '-') pending = readOption(command, word, options)
    else {
      const inner: Command | undefined = operands.length === 0 ? findCommand(command, word) : undefined
      if (inner === undefined) {
        operands.push(word)
        // Behind its first operand everything belongs to the program inside.
        optionsEnded = command.registeredArguments.some((argument) => argument.name() === 'program')
      } else {
        command = inner
        operands = []
      }
    }
  }
  return { command, operands, options, pending, optionsEnded }
}

/** The option whose value is the next word, if it is one. */
function readOption(command: Command, word: string, options: Record<string, string>): Option | undefined {
  const [name = '', value] = word.startsWith('--')
    ? word.split(/=(.*)/s)
    : [word.slice(0, 2), word.slice(2) || undefined]
  const option = allOptions(command).find(({ long, short }) => long === name || short === name)
  if (option === undefined || !option.required) return undefined
  if (value === undefined) return option
  options[option.attributeName()] = value
  return undefined
}

async function assignment(command: Command, place: Place, live: LiveNames): Promise<readonly Candidate[]> {
  const [name = '', typed = ''] = place.typed.split(/=(.*)/s)
  const option = allOptions(command).find(({ long }) => long === name)
  if (option === undefined) return []
  const values = await optionValues(option, { ...place, typed }, live)
  return values.map((found) => ({ ...found, value: `${name}=${found.value}` }))
}

async function optionValues(option: Option, place: Place, live: LiveNames): Promise<readonly Candidate[]> {
  const kind = kindOfOption(option)
  const names = kind === undefined ? [] : await live(kind, place)
  const choices = (option.argChoices ?? []).map((value): Candidate => ({ value }))
  return named([...choices, ...names], place.typed)
}

/** Shells read a candidate a line, and print it: files in sandboxes may have names that no line can carry. */
function named(candidates: readonly Candidate[], typed: string): Candidate[] {
  return candidates.filter(({ value }) => value.startsWith(typed) && !CONTROL.test(value))
}

// eslint-disable-next-line no-control-regex -- these characters are the point
const CONTROL = /[\u0000-\u001F\u007F-\u009F]/

function commandsOf(command: Command): Candidate[] {
  const names = command
    .createHelp()
    .visibleCommands(command)
    .map((inner): Candidate => ({ value: inner.name(), about: inner.summary() || inner.description() }))
  return names
}

/** Those that were not written yet, or may be again. */
function optionsOf(command: Command, words: readonly string[]): Candidate[] {
  return allOptions(command)
    .filter((option) => mayRepeat(option) || !words.some((word) => word === option.long || word === option.short))
    .map((option) => ({ value: option.long ?? option.short ?? '', about: option.description }))
    .filter(({ value }) => value !== '')
}

const mayRepeat = (option: Option): boolean => option.variadic || option.description.includes('may be repeated')

/** The help too, which commander keeps apart. */
function allOptions(command: Command): readonly Option[] {
  const visible = command.createHelp().visibleOptions(command)
  return [...new Set([...command.options, ...visible])]
}

function findCommand(command: Command, name: string): Command | undefined {
  return command.commands.find((inner) => inner.name() === name || inner.aliases().includes(name))
}

function argumentAt(command: Command, index: number): Argument | undefined {
  const { registeredArguments } = command
  const last = registeredArguments.at(-1)
  return registeredArguments[index] ?? (last?.variadic === true ? last : undefined)
}
